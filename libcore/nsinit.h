/*
 * libcore: user logins in containers. The one header for those who use the library.
 *
 * A login, in the order of the calls:
 *
 *     nsi_policy_load()      read /etc/nsinit/nsinit.conf
 *     nsi_policy_decide()    which rule holds for the user: the host, a refusal, or a container
 *     nsi_session_open()     spawn that container, or find it live; the session is now counted
 *     nsi_session_terminal() put the container's terminals over /dev/pts of this process
 *     nsi_setuid_suspend()   in a forked child, at once: it cannot become the user
 *     nsi_setuid_resume()    in that child, when it is about to join
 *     nsi_session_join()     in that child: enter it, confined; there is no way back
 *     nsi_session_close()    the session has ended
 *     nsi_shut_away()        in a forked child whose user was refused, and that goes on all the same
 *
 * Conventions. A function returns 0, or a negative errno value with *err filled; outputs ("ret_") are written
 * only on success. The library prints nothing, logs nothing, never exits and keeps no global state. Strings
 * are copied. Destructors accept NULL.
 */
#ifndef NSINIT_H
#define NSINIT_H

#include "parse/network.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

/* Exit statuses of `nsinit` itself, as env(1) and the container engines have them. */
enum {
	NSI_EXIT_FAILED = 125,         /* nsinit could not do it */
	NSI_EXIT_NOT_EXECUTABLE = 126, /* the command was found but could not be run */
	NSI_EXIT_NOT_FOUND = 127,      /* the command was not found */
};

/* What failed. `object` names the file with line and column where they are known. All text is printable
 * ASCII. */
struct nsi_error {
	int code;         /* an errno value, > 0 */
	int exit_status;  /* what a command line program should exit with */
	char reason[32];  /* a stable word for logs: "policy", "spec", "rootfs", "spawn", "join", ... */
	char step[64];    /* what was being done: "mounting" */
	char object[512]; /* to what: "/proc" */
	char cause[384];  /* why it failed */
	char hint[384];   /* the remedy; may be empty */
	int line, column; /* as in `object`; 0: not known */
	char key[128];    /* in a container.json: "mounts[2].size"; may be empty */
};

/* "step object: cause; hint" in `buf`, which it returns. */
const char *nsi_error_text(const struct nsi_error *err, char *buf, size_t size);

/* What the user who is refused may be told, in a sentence; all else is for the log. */
const char *nsi_error_sentence(const struct nsi_error *err);

/* Who logs in, from the host's name services. */
struct nsi_user {
	char name[256];
	uid_t uid;
	gid_t gid;
	gid_t groups[256]; /* all groups, the primary one too */
	int n_groups;      /* -1: nobody has asked for them */
	char group[256];   /* the primary one's name; "": it has none, or no name service tells */
	char gecos[256];
	char home[1024];
	char shell[256];
};

/* Look `name` up by NSS. -ENOENT: no such user. Unprivileged; may load NSS modules into this process. */
int nsi_user_lookup(const char *name, struct nsi_user *ret_user, struct nsi_error *err);

/* 1: the user is a member of the group, 0: not, or there is no such group. Fails without the user's groups.
 */
int nsi_user_in_group(const struct nsi_user *user, const char *group, struct nsi_error *err);

struct nsi_policy;

/* Parse the policy. The file and every directory above it must be root's and writable by nobody else. */
int nsi_policy_load(const char *path, struct nsi_policy **ret_policy, struct nsi_error *err);
void nsi_policy_free(struct nsi_policy *policy);

/* Look `name` up as far as the policy needs it: without the groups where no rule is for one. A name service
 * may take long over them. */
int nsi_policy_user(
	const struct nsi_policy *policy, const char *name, struct nsi_user *ret_user, struct nsi_error *err);

enum nsi_verdict {
	NSI_STAY,      /* a login on the host */
	NSI_DENY,      /* refused; `text` is for the user */
	NSI_CONTAINER, /* into the container of `rootfs` */
};

enum nsi_userns { NSI_USERNS_AUTO, NSI_USERNS_OFF };
enum nsi_home { NSI_HOME_BIND, NSI_HOME_NONE };
enum nsi_tty {
	NSI_TTY_CONTAINER, /* sshd allocates the container's terminals; the host's records name those */
	NSI_TTY_RELAY,     /* it allocates the host's; nsinit-shell inside makes another and relays */
};
enum nsi_accounts { NSI_ACCOUNTS_AUTO, NSI_ACCOUNTS_IMAGE };
enum nsi_dns { NSI_DNS_IMAGE, NSI_DNS_HOST };
enum nsi_ownership {
	NSI_OWNERSHIP_HOST, /* the root directory's files have the container's ids; a mapped mount shows them
			     */
	NSI_OWNERSHIP_SHIFTED, /* they are a subordinate range's already, which the container gets */
};

enum { NSI_LIFETIME_LINGER = -2, NSI_LIFETIME_FOREVER = -1, NSI_LIFETIME_LAST_SESSION = 0 };

/* What a container may use of the machine, in the terms of cgroup v2. A plain value; all zero: no limit. */
enum nsi_limit {
	NSI_MEMORY_MAX, /* bytes */
	NSI_MEMORY_HIGH,
	NSI_MEMORY_SWAP, /* of swap space alone */
	NSI_CPU_WEIGHT,
	NSI_CPU_MAX, /* microseconds in each cpu_period */
	NSI_PIDS_MAX,
	NSI_IO_WEIGHT,
	NSI_LIMITS,
};

struct nsi_resources {
	uint32_t set; /* bit N: value[N] holds */
	uint32_t cpu_period;
	uint64_t value[NSI_LIMITS];
};

/* What container.json may ask for, each where it is given. A plain value. */
struct nsi_ceilings {
	bool capabilities_given, namespaces_given, sysctls_given;
	uint64_t capabilities; /* bit N: capability N may be kept */
	uint64_t namespaces;   /* CLONE_NEW*: those that may be left to the host's */
	char sysctls[1024];    /* patterns of fnmatch(3), each ended by '\n' */
	char devices[512];     /* the same of paths; without any, none */
};

/* What is recorded of sessions. A plain value; all zero: nothing. */
struct nsi_recording {
	bool tty;      /* what their terminals show; of sessions without one that they were, and when */
	bool input;    /* what is typed, too */
	bool required; /* a terminal ends when its recording cannot go on */
	uint64_t size; /* bytes of the recordings of one session */
	char dir[256]; /* where, absolute */
};

/* What the policy says of a user. A plain value: it also travels to the supervisor as it is. */
struct nsi_decision {
	enum nsi_verdict verdict;
	int line;         /* of the rule in the policy file; 0 for `unmapped` */
	int lifetime;     /* NSI_LIFETIME_*, or seconds that an empty container is kept */
	int idle;         /* with NSI_LIFETIME_LINGER: seconds without session and process until it ends */
	int max_age;      /* seconds after which the container is ended; 0: none */
	int max_sessions; /* 0: any number */
	struct nsi_resources limits;         /* ceilings, which hold whatever container.json says */
	struct nsi_resources session_limits; /* of each session; none set: no cgroup of its own */
	struct nsi_ceilings ceilings;
	bool clamp;       /* more than that is cut down to it, not refused */
	bool best_effort; /* a limit that this host cannot keep is left out, not refused */
	bool machined;    /* systemd-machined is told of the container */
	enum nsi_userns userns;
	enum nsi_home home;
	enum nsi_tty tty;
	enum nsi_accounts accounts;
	enum nsi_dns dns;
	enum nsi_ownership ownership;
	bool ephemeral; /* changes to the image are kept in memory, and end with the container */
	char ephemeral_size[16];
	uint64_t size;     /* bytes that changes to the image may take on disk; 0: any number */
	char rootfs[1024]; /* expanded, absolute; with an image, the directory that takes the changes to it */
	char image[1024];  /* a directory that any number of containers share; "": `rootfs` is all there is */
	char config[1024]; /* container.json outside; "": that of the root directory, or of the image */
	char mount_limits[2048]; /* below which host paths it may mount from, each ended by '\n' */
	char shell[256];         /* that nsinit-shell runs inside; "": the container's passwd decides */
	char text[256];          /* why, in a sentence */
	struct nsi_network_policy network;
	struct nsi_recording recording;
};

int nsi_policy_decide(const struct nsi_policy *policy, const struct nsi_user *user,
	struct nsi_decision *ret_decision, struct nsi_error *err);

/* How a PAM service brings a session into its container. */
enum nsi_service_mode {
	NSI_SERVICE_SPLIT, /* sshd: in the child that calls setcred once more */
	NSI_SERVICE_JOIN,  /* the process that opens the session enters itself; its children follow */
	NSI_SERVICE_SHELL, /* the user's shell is nsinit-shell, and the service runs nothing else */
	NSI_SERVICE_DENY,
};

/* What the policy, or else the built-in table, says of a service. */
enum nsi_service_mode nsi_policy_service(const struct nsi_policy *policy, const char *service);

struct nsi_session;

/* Where a session comes from, in the words of the service that opens it. For people; nothing depends on it.
 */
struct nsi_origin {
	char service[32];
	char from[128]; /* the remote host, or the terminal; "": not known */
};

/*
 * Have the decided container live and this process counted as a session in it, until nsi_session_close() or
 * until the process ends, whatever way. Starts a supervisor where none runs. Needs root (CAP_SYS_ADMIN).
 * Takes at most about 20 s. The session's descriptors are close-on-exec.
 */
int nsi_session_open(const struct nsi_user *user, const struct nsi_decision *decision,
	const struct nsi_origin *origin, struct nsi_session **ret_session, struct nsi_error *err);

/*
 * Unless the policy says tty = "relay", move this process to a mount namespace of its own, a slave of the
 * present one, in which the container's devpts covers /dev/pts: terminals allocated from now on are the
 * container's; and where the policy says so recorded, by a process that is started now. Undone by
 * nsi_session_close(). -EINVAL in a process that has threads. Sessions of which several are open in one
 * process must be closed in reverse order.
 */
int nsi_session_terminal(struct nsi_session *session, struct nsi_error *err);

/*
 * Enter the container, confined as its pid 1 is: namespaces, groups, bounding set, keyring, system call
 * filter and resource limits. To be called as root in a forked, single-threaded child that has already
 * dropped its supplementary groups to the user's. The caller stays uid 0 of the container (its own uid 0 of
 * the user namespace, where there is one) and is expected to drop to the user's uid next. On failure the
 * process may be half-way: the caller must _exit().
 */
int nsi_session_join(struct nsi_session *session, struct nsi_error *err);

/*
 * Take CAP_SETUID out of the effective set of this thread, and put it back: between the two nobody but root,
 * and no user's process, comes of it, unless by execve(2) as root. For the forked child, from the fork until
 * nsi_session_join(). Suspending is async-signal-safe and returns 0 or a negative errno value.
 */
int nsi_setuid_suspend(void);
int nsi_setuid_resume(struct nsi_error *err);

/*
 * Enter the container with this very process, for services that fork no child to join in (su, sudo, cron): it
 * and all its children are inside from now on, and it stays root of the user namespace. Looks names up in
 * plain files from then on, and cannot put input into terminals; keeps its working directory where there is
 * one of that name, and passes no descriptor but 0, 1 and 2 on to what it executes. Refused (-EPERM) without
 * a user namespace, and (-ENOTSUP) with a terminal where sessions are recorded. On failure the process must
 * end. Single-threaded only.
 */
int nsi_session_enter(struct nsi_session *session, struct nsi_error *err);

/*
 * Put this process, and what it starts, where there is nothing: no file, no network, nobody's messages. For
 * one that goes on although its user was refused. Needs CAP_SYS_ADMIN; single-threaded only. On failure the
 * process must end.
 */
int nsi_shut_away(struct nsi_error *err);

/* The container's id, as `nsinit list` has it. */
const char *nsi_session_container(const struct nsi_session *session);

/* Environment entry `i` ("NAME=value") that container.json sets for logins; NULL past the end. */
const char *nsi_session_env(const struct nsi_session *session, size_t i);

/* End the session, undo what nsi_session_terminal() did, and free it. */
void nsi_session_close(struct nsi_session *session);

/* Only drop this process's hold on it (descriptors, memory), as a forked copy must. */
void nsi_session_free(struct nsi_session *session);

/*
 * Out of trouble: for some time, at most NSI_DISABLE_MAX seconds, every login is the host's. It ends by
 * itself, with the boot, or by nsi_enable(). `who` is written down for people. These need root.
 */
enum { NSI_DISABLE_MAX = 24 * 3600 };
int nsi_disable(unsigned seconds, const char *who, struct nsi_error *err);
/* -ENOENT: it was not disabled. */
int nsi_enable(struct nsi_error *err);
/* For how many seconds it still holds, rounded up; 0: it does not. Whatever is wrong with the file means 0.
 */
unsigned nsi_disabled_seconds(void);

#pragma GCC visibility pop

#endif
