/*
 * The container's cgroup: cgroups(7), version 2 alone. It is in a directory "nsinit", below what systemd has
 * delegated to nsinitd, or at the top of the hierarchy. All processes of the container are in it: pid 1 is
 * cloned into it, and who joins moves there.
 *
 * Where each session has limits of its own the group is divided: a group with controllers for those below it
 * can have no processes itself. Each session is in one below, and whatever else there is, in NSI_CGROUP_OWN.
 */
#ifndef NSINIT_CGROUP_H
#define NSINIT_CGROUP_H

#include "../base/error.h"

#include <stdbool.h>
#include <sys/types.h>

#define NSI_CGROUP_PARENT "nsinit"
#define NSI_CGROUP_OWN "init"
#define NSI_CGROUP_LODGING "supervisors" /* beside the containers' */
#define NSI_CGROUP_SESSION "session-"    /* the beginning of the names of sessions' groups */

struct nsi_cgroup {
	int dir;                       /* its directory; -1: there is none */
	int own;                       /* that of NSI_CGROUP_OWN; -1: it is not divided */
	char base[480];                /* where NSI_CGROUP_PARENT is */
	char path[512];                /* where `dir` is */
	char note[256];                /* which limits are left out; "": none */
	struct nsi_resources sessions; /* of each, as far as this host keeps them */
};

/*
 * Make the group of container `id` with the limits of `want`; one that an earlier container has left there is
 * removed with what runs in it. Where this host cannot keep a limit: refused (reason "resources"), or noted
 * and left out with `best_effort`.
 */
int nsi_cgroup_make(const char *id, const struct nsi_resources *want, bool best_effort,
	struct nsi_cgroup *ret, struct nsi_error *err);

/*
 * Divide it, so that each session can have the limits of `each`: the process of the pidfd, the only one in
 * it, moves to NSI_CGROUP_OWN. A cgroup namespace that this process has made keeps the whole for its root.
 */
int nsi_cgroup_divide(struct nsi_cgroup *cgroup, int pidfd, const struct nsi_resources *each,
	bool best_effort, struct nsi_error *err);

/*
 * The directory of a group for what is not to end with the service or the session that this process is of:
 * systemd kills what is left in their groups. To be closed by the caller. -1: there is none, or no need of
 * one. Root's.
 */
int nsi_cgroup_lodging(void);

/* The directory of the group for what is in no session; -1: there is none. */
int nsi_cgroup_place(const struct nsi_cgroup *cgroup);

/* Make a group for a session in a divided one. -EEXIST: there is one of that name. */
int nsi_cgroup_open_session(
	const struct nsi_cgroup *cgroup, const char *name, int *ret_dir, struct nsi_error *err);
/* Remove it. False: it cannot be, as there are processes in it. */
bool nsi_cgroup_close_session(const struct nsi_cgroup *cgroup, const char *name);

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

/* Kill what is left in it and in those below, and remove them all. */
void nsi_cgroup_end(struct nsi_cgroup *cgroup);

/* The same by its path, for one whose supervisor is gone. */
void nsi_cgroup_sweep(const char *path);

/* The text of one of its files, cut to the buffer. Its length, or a negative errno value. */
ssize_t nsi_cgroup_read(int dir, const char *file, char *buf, size_t size);
/* The number of `name` in one of them, nsi_counter(). */
bool nsi_cgroup_number(int dir, const char *file, const char *name, unsigned long long *ret);
/* Whether the group of that cgroup.events has processes, or one below has. */
bool nsi_cgroup_populated(int events);
/* Write `text` to it. 0 or a negative errno value. */
int nsi_cgroup_put(int dir, const char *file, const char *text);

#endif
