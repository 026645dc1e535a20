/* Id maps for an ordinary user's container. */
#ifndef NSINIT_IDMAP_H
#define NSINIT_IDMAP_H

#include "../decide/plan.h"

/*
 * Write the maps of process `pid`: the caller's own ids directly, subordinate ones by newuidmap(1) and
 * newgidmap(1), which are set-uid for this.
 */
int nsi_map_rootless(pid_t pid, const struct nsi_ids *ids, struct nsi_error *err);

#endif
