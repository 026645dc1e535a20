/* The one place that mounts. Acts on the mount namespace of the calling process. */
#ifndef NSINIT_MOUNT_H
#define NSINIT_MOUNT_H

#include "../decide/plan.h"

/* All mounts of this namespace: nothing propagates in or out / the host's still arrive. */
int nsi_mount_private(struct nsi_error *err);
int nsi_mount_slave(struct nsi_error *err);

/*
 * A detached copy of the tree at `dirfd`, private, with `attributes` (MOUNT_ATTR_*), and with `userns` >= 0
 * mapped through that user namespace (MOUNT_ATTR_IDMAP, mount_setattr(2)). To be attached by a process
 * inside.
 */
int nsi_mount_clone(
	int dirfd, const char *shown, int userns, unsigned attributes, int *ret_tree, struct nsi_error *err);

/*
 * Attach `root_tree` over this namespace's root, carry out the plan's operations in it, and make it the root:
 * the host's mounts are gone afterwards. `home_tree` serves NSI_OP_TREE; -1: nothing is mounted there.
 * *ret_devpts, a descriptor of the new devpts, is close-on-exec.
 */
int nsi_mount_plan(
	const struct nsi_plan *plan, int root_tree, int home_tree, int *ret_devpts, struct nsi_error *err);

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
