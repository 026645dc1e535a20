/*
 * The container's cgroup: cgroups(7), version 2 alone. It is a leaf of a directory "nsinit", below what
 * systemd has delegated to nsinitd, or at the top of the hierarchy. All processes of the container are in it:
 * pid 1 is cloned into it, and who joins moves there.
 */
#ifndef NSINIT_CGROUP_H
#define NSINIT_CGROUP_H

#include "../base/error.h"

struct nsi_cgroup {
	int dir;        /* its directory; -1: there is none */
	char path[512]; /* where that is */
	char note[256]; /* which limits are left out; "": none */
};

/*
 * Make the group of container `id` with the limits of `want`; one that an earlier container has left there is
 * removed with what runs in it. Where this host cannot keep a limit: refused (reason "resources"), or noted
 * and left out with `best_effort`.
 */
int nsi_cgroup_make(const char *id, const struct nsi_resources *want, bool best_effort,
	struct nsi_cgroup *ret, struct nsi_error *err);

/* Move a process, 0 for this one, to the group of that directory. A migration: costs milliseconds. */
int nsi_cgroup_move(int dir, pid_t pid, struct nsi_error *err);

/* Move the process of a pidfd. */
int nsi_cgroup_move_process(int dir, int pidfd, struct nsi_error *err);

/* Order that everything in it stops, or goes on. What is in the middle of a system call stops at its end. */
int nsi_cgroup_freeze(int dir, bool frozen, struct nsi_error *err);
/* What is stopped goes on, for a group whose supervisor is gone. */
void nsi_cgroup_thaw(const char *path);
/* Whether everything in it has stopped. */
bool nsi_cgroup_frozen(int dir);

/* Where the hierarchy of version 2 is mounted; NULL: nowhere. */
const char *nsi_cgroup_mount(void);

/* Kill what is left in it, and remove it. */
void nsi_cgroup_end(struct nsi_cgroup *cgroup);

/* The same by its path, for one whose supervisor is gone. */
void nsi_cgroup_sweep(const char *path);

/* The text of one of its files, cut to the buffer. Its length, or a negative errno value. */
ssize_t nsi_cgroup_read(int dir, const char *file, char *buf, size_t size);

#endif
