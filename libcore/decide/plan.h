/*
 * The plan: everything of a container decided before the first process of it exists. Plain data, no pointers
 * into the spec; what executes it parses nothing.
 */
#ifndef NSINIT_PLAN_H
#define NSINIT_PLAN_H

#include "../parse/spec.h"

#include <linux/filter.h>

enum { NSI_TTY_GID = 5 }; /* the host's, and every container's: who owns terminals, beside their user */
enum { NSI_MAX_GROUPS = 32, NSI_FILTERS = 3, NSI_FILTER_MAX = 2048 };

/* System call filters: classic BPF programs, `n` instructions each, one behind the other in `code`. */
struct nsi_filter {
	uint16_t n[NSI_FILTERS]; /* 0: none */
	struct sock_filter code[NSI_FILTER_MAX];
};

/* What confines pid 1, and any process that joins, in the same way. A plain value: it crosses sockets. */
struct nsi_confinement {
	uint64_t namespaces;   /* CLONE_NEW*: those that the container has of its own */
	uint64_t capabilities; /* the bounding set, and what uid 0 holds */
	struct nsi_ids ids;    /* meaningful with CLONE_NEWUSER */
	uid_t uid;             /* inside */
	gid_t gid;
	bool no_setgroups; /* a user namespace in which setgroups(2) is denied */
	bool keep_groups;  /* keep the caller's groups that have the same number inside */
	int n_groups;      /* otherwise these */
	gid_t groups[NSI_MAX_GROUPS];
	uint64_t ambient; /* capabilities of a uid other than 0 */
	bool no_new_privs;
	bool seccomp; /* `filter` is to be made and loaded: the default one */
	struct nsi_limits limits;
	struct nsi_filter filter;
	char working_dir[1024];
};

enum nsi_op_kind {
	NSI_OP_FILESYSTEM, /* a new filesystem of type `source` with `options`, on directory `target` */
	NSI_OP_SYSFS,      /* the same for sysfs, or the host's where the kernel refuses a new one */
	NSI_OP_DEVICE,  /* the host's device node `source`, on a new file `target`; `options`: if there is one
			 */
	NSI_OP_PROGRAM, /* the host's program `source`, on file `target`; nothing where there is no source */
	NSI_OP_SYMLINK, /* `target` -> `source` */
	NSI_OP_TREE,    /* tree number `tree` of those that the parent passed, on a `target` of its kind */
	NSI_OP_AGAIN,   /* the container's own mount on `source` with all below it, on directory `target` */
	NSI_OP_FILE,    /* a file with the text `source`, on file `target` */
	NSI_OP_NOTE,    /* a file with the text `source`, as it is, in the container's /dev */
	NSI_OP_READONLY, /* `target` over itself, read-only; nothing where it does not exist */
	NSI_OP_ZONE,     /* the host's file `source`, on file `target` */
	NSI_OP_SYSCTL,   /* the text `source` into the kernel's file `target` */
	NSI_OP_MASK,     /* nothing to be seen at `target`; nothing where it does not exist */
};

struct nsi_op {
	enum nsi_op_kind kind;
	unsigned attributes; /* MOUNT_ATTR_* */
	char target[256];    /* relative to the root directory */
	const char *source;  /* a constant, or owned by the plan */
	const char *options; /* "key=value,key"; NULL: none */
	int tree;            /* 0: the home directory's; else of mounts[tree - 1] */
};

enum { NSI_NOTE_SIZE = 512 };
enum { NSI_MAX_OPS = 192 + NSI_MAX_MOUNTS, NSI_MAX_TREES = 1 + NSI_MAX_MOUNTS };

struct nsi_plan {
	struct nsi_confinement confine;
	char hostname[65], domainname[65];
	struct nsi_network network;
	struct nsi_resources resources;         /* none set: no cgroup */
	struct nsi_resources session_resources; /* of each session of a login container; the same */
	bool resources_optional;                /* leave out what this host cannot keep */
	char limits_note[NSI_NOTE_SIZE];        /* for the log: what was cut down */
	char zone[128];                         /* the host's file of the time zone; "": the image's */
	struct nsi_sysctl sysctls[NSI_MAX_SYSCTLS];
	struct nsi_device devices[NSI_MAX_DEVICES];
	int n_devices;
	bool readonly_root;
	bool rootless;  /* made without privilege: the child copies the root directory's mount itself */
	bool given_ids; /* container.json has named them */
	bool own_ids;   /* the root directory's files have the ids of the container's range already */
	struct {
		bool present;   /* the root is an overlay over a shared directory */
		bool ephemeral; /* with changes in memory, of at most this size */
		char size[16];
	} image;
	bool loopback; /* bring lo up: the network namespace is new */
	struct {
		bool present; /* a login container: the user it belongs to */
		uid_t uid;
		gid_t gid;
		char name[256];
	} login;
	struct nsi_mount *mounts; /* owned */
	int n_mounts;
	char home[256];     /* host directory to be bound at the same path; "": none */
	char **environment; /* NULL-terminated, owned */
	struct nsi_op ops[NSI_MAX_OPS];
	int n_ops;
	char *texts[6]; /* sources that are owned */
};

/* The texts of the image that a plan depends on; NULL where the file does not exist. */
struct nsi_image {
	char *passwd, *group, *hosts, *nsswitch;
	char *host_resolv_conf; /* the host's, for dns = "host" */
};

/* A login's part in the plan; NULL for `nsinit exec`. */
struct nsi_login {
	struct nsi_user user;
	struct nsi_decision decision;
};

/* What nsinit-shell runs inside, one path a line, in a place that only exists in a login container. */
#define NSI_SHELL_NOTE "/dev/.nsinit/login-shell"

/*
 * `range` is the first of 65536 host ids that belong to this container alone; it is used with a user
 * namespace. No side effects.
 */
int nsi_plan_make(const struct nsi_spec *spec, const struct nsi_login *login, const struct nsi_image *image,
	uint32_t range, struct nsi_plan **ret_plan, struct nsi_error *err);
void nsi_plan_free(struct nsi_plan *plan);

/* The plan's resources: what is asked for, within the ceilings of `d` (NULL: none). */
int nsi_plan_resources(struct nsi_plan *plan, const struct nsi_resources *asked, const struct nsi_decision *d,
	struct nsi_error *err);
/* Hold `spec` to the ceilings of a rule: refused (reason "limits"), or cut down, and said so in `note`, of
 * NSI_NOTE_SIZE. */
int nsi_apply_ceilings(
	struct nsi_spec *spec, const struct nsi_decision *decision, char *note, struct nsi_error *err);

/* Append an operation; `source` and `options` must outlive the plan or be its own. -E2BIG: no room. */
int nsi_plan_add(struct nsi_plan *plan, enum nsi_op_kind kind, const char *source, const char *target,
	const char *options, unsigned attributes);

/* The keys of process.h: after the standard mounts. What is hidden of /proc, /sys and others: after all
 * mounts. */
int nsi_plan_process(struct nsi_plan *plan, const struct nsi_spec *spec, struct nsi_error *err);
int nsi_plan_hide(struct nsi_plan *plan, const struct nsi_spec *spec, struct nsi_error *err);

/* Whether the container needs a range of ids. */
bool nsi_plan_wants_range(const struct nsi_spec *spec, const struct nsi_login *login);

/* Ids 0..65535 onto `range`, with the ids of `same` (n of them, ascending, distinct) mapped to themselves. */
int nsi_idmap_make(uint32_t range, const uint32_t *same, int n, struct nsi_idmap map[NSI_MAX_IDMAP]);

/*
 * Turn a plan into one that an ordinary user can carry out: always a user namespace, `ids` as its maps (uid
 * and gid 0 first), no bridge.
 */
int nsi_plan_rootless(struct nsi_plan *plan, const struct nsi_ids *ids, struct nsi_error *err);

/* The maps of user `uid`, whose name, or NULL, is `name`: root inside, and the ids of subuid(5) and
 * subgid(5). */
void nsi_rootless_ids(
	const char *subuid, const char *subgid, const char *name, uid_t uid, gid_t gid, struct nsi_ids *ret);

/* Whether host id `id` has the same number inside. */
bool nsi_idmap_same(const struct nsi_idmap *map, int n, uint32_t id);

/* "USER[:GROUP[,GROUP...]]", names taken from the image. */
int nsi_resolve_user(const char *text, const struct nsi_image *image, uid_t *ret_uid, gid_t *ret_gid,
	struct nsi_error *err);
int nsi_resolve_group(const char *text, const struct nsi_image *image, gid_t *ret_gid, struct nsi_error *err);

/* The same with the supplementary groups: those named, or without any group named, the user's in the image.
 */
int nsi_resolve_identity(const char *text, const struct nsi_image *image, struct nsi_confinement *confine,
	struct nsi_error *err);

#endif
