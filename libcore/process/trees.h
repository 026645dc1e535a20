/* The host's directories that a container gets: opened outside, before anything of it runs. */
#ifndef NSINIT_TREES_H
#define NSINIT_TREES_H

#include "../decide/plan.h"

/*
 * Send the container's pid 1 the trees it is to mount, and the word to start. `userns` is its user namespace,
 * or -1; `rootfd` its rootfs directory, and `image` the directory that this one has the changes of, or -1.
 */
int nsi_trees_send(
	const struct nsi_plan *plan, int userns, int rootfd, int image, int sync, struct nsi_error *err);

/* Receive them. The root directory's is in *ret_root, the others in `trees` (NSI_MAX_TREES of them). */
int nsi_trees_receive(
	const struct nsi_plan *plan, int sync, int *ret_root, int trees[], struct nsi_error *err);

#endif
