/* Id maps for an ordinary user's container. */
#ifndef NSINIT_IDMAP_H
#define NSINIT_IDMAP_H

#include "../decide/plan.h"

/*
 * Write the maps of process `pid`: the caller's own ids directly, subordinate ones by newuidmap(1) and
 * newgidmap(1), which are set-uid for this.
 */
int nsi_map_rootless(pid_t pid, const struct nsi_ids *ids, struct nsi_error *err);

/* A user namespace of these maps, without a process, for nsi_mount_clone(). Needs root. */
int nsi_make_mapping(const struct nsi_ids *ids, int *ret_userns, struct nsi_error *err);

/*
 * Whether a tree copied of directory `dirfd` takes an id mapping, as a container with a user namespace needs
 * it. Tried on a copy that nobody sees. 0, or a negative errno value with the reason. Needs root.
 */
int nsi_try_idmap(int dirfd, const char *shown, struct nsi_error *err);

#endif
