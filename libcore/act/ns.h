/* Entering namespaces, and their id maps. Acts on the calling process. */
#ifndef NSINIT_NS_H
#define NSINIT_NS_H

#include "../decide/plan.h"

/*
 * Enter `namespaces` of the process behind `pidfd` in one setns(2): all of them or none. With CLONE_NEWUSER
 * the caller is then uid and gid 0 inside. Root and working directory become the container's. Single-threaded
 * only.
 */
int nsi_enter(int pidfd, uint64_t namespaces, struct nsi_error *err);

/* Write the id maps of process `pid`. Needs CAP_SETUID and CAP_SETGID over it, user_namespaces(7). */
int nsi_write_idmaps(pid_t pid, const struct nsi_ids *ids, struct nsi_error *err);

/* The same by an ordinary user, for one uid and one gid, the caller's; setgroups(2) is then denied inside. */
int nsi_write_own_idmaps(pid_t pid, const struct nsi_ids *ids, struct nsi_error *err);

/* The way back to a mount namespace. Descriptors, -1 where there are none. */
struct nsi_mounts_before {
	int ns, root, cwd;
};

/*
 * A mount namespace of our own that still follows the host's mounts. nsi_leave() goes back, keeps root and
 * working directory, and closes what `before` holds. A process that has threads is refused.
 */
int nsi_private_mounts(struct nsi_mounts_before *ret_before, struct nsi_error *err);
void nsi_leave(struct nsi_mounts_before *before);
/* The same without going back. */
void nsi_mounts_forget(struct nsi_mounts_before *before);

/* Whether the process has more than one thread. Such a one can enter no container with a user namespace. */
bool nsi_has_threads(void);

/* Namespaces of its own for a program that handles what is not trusted: mounts, network and IPC. For good. */
int nsi_seclude(struct nsi_error *err);

/* Move to a cgroup namespace whose root is the present cgroup. */
int nsi_own_cgroup_root(struct nsi_error *err);
/* Enter a user namespace, with a copy of the present mount namespace that belongs to it. */
int nsi_lesser_mounts(int userns, struct nsi_error *err);

#endif
