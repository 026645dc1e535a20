/* The one place that mounts. Acts on the mount namespace of the calling process. */
#ifndef NSINIT_MOUNT_H
#define NSINIT_MOUNT_H

#include "../decide/plan.h"

/* All mounts of this namespace: nothing propagates in or out / the host's still arrive. */
int nsi_mount_private(struct nsi_error *err);
int nsi_mount_slave(struct nsi_error *err);

struct nsi_clone {
	int userns; /* >= 0: shown with ids mapped through it, MOUNT_ATTR_IDMAP of mount_setattr(2) */
	unsigned attributes; /* MOUNT_ATTR_* */
	bool single;         /* without what is mounted below */
	bool slave;          /* not private: what the host mounts in it later arrives */
	const char *instead; /* what else to do where ids cannot be mapped, for people; NULL: nothing */
};

/* For the root directory of a login. */
#define NSI_WITHOUT_MAPPING                                                                                  \
	"chown the tree to a subordinate range and say ownership = \"shifted\"; or userns = \"off\""

/* A detached copy of the tree at `dirfd`, a directory or a file. To be attached by a process inside. */
int nsi_mount_clone(
	int dirfd, const char *shown, const struct nsi_clone *how, int *ret_tree, struct nsi_error *err);

struct nsi_layers {
	int lower[NSI_MAX_LOWER]; /* directories, the upmost first */
	int n_lower;
	int changes; /* the directory that holds `upper` and `work`; -1: read-only, or in memory */
	const char *upper, *work;
	const char *memory; /* or else the size of a tmpfs that does, whose root directory is this one's: */
	uid_t uid;
	gid_t gid;
	bool detached;       /* the directories are roots of detached mounts, and are attached to "/" here */
	unsigned attributes; /* MOUNT_ATTR_* */
	const char *shown;
};

/*
 * A detached overlay. Where layers are detached or in memory, they end up mounted in this mount namespace,
 * which should be one of a process that ends right after.
 */
int nsi_mount_overlay(const struct nsi_layers *layers, int *ret_mount, struct nsi_error *err);

/*
 * Attach `root_tree` over this namespace's root, carry out the plan's operations in it, and make it the root:
 * the host's mounts are gone afterwards. `trees` (NSI_MAX_TREES of them) serve NSI_OP_TREE; -1: nothing is
 * mounted there. *ret_devpts, a descriptor of the new devpts, is close-on-exec.
 */
int nsi_mount_plan(const struct nsi_plan *plan, int root_tree, const int trees[], int *ret_devpts,
	struct nsi_error *err);

/*
 * Attach detached trees (-1: none) somewhere in this mount namespace, which is to end with the process, and
 * make that the working directory; and copy tree number `i` from there.
 */
int nsi_mount_stage(const int trees[], int n, struct nsi_error *err);
int nsi_mount_unstage(int i, int *ret_tree, struct nsi_error *err);

/* Make an empty, read-only directory the root, and have nothing else mounted in this namespace. */
int nsi_mount_nothing(struct nsi_error *err);

/*
 * For a program that handles what is not trusted, in a mount namespace that ends with it: a root with the
 * programs of the host, read-only, and detached tree `work` as /work, which becomes the working directory.
 * Nothing else of the host is there for a path to lead to.
 */
int nsi_mount_workshop(int work, struct nsi_error *err);

/* A detached copy of the mount that `fd` is on. It must be of this mount namespace. */
int nsi_mount_detached(int fd, int *ret_tree, struct nsi_error *err);

/*
 * Attach a detached devpts at /dev/pts, and see to it that /dev/ptmx leads there, whether it is a device node
 * (the kernel looks for "pts" beside it), a symbolic link, or (inside other containers) a bind of the old
 * devpts' ptmx.
 */
int nsi_mount_terminals(int tree, struct nsi_error *err);

/*
 * The root directory's tree, copied by the container's own process: who has no privilege outside cannot copy
 * it there. `rootfd` comes from outside; the path behind it must lead to the same directory here.
 */
int nsi_mount_own_root(int rootfd, int *ret_tree, struct nsi_error *err);

#endif
