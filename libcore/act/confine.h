/* Giving up rights, on the calling process. */
#ifndef NSINIT_CONFINE_H
#define NSINIT_CONFINE_H

#include "../decide/plan.h"

/*
 * The part that every entry shares: a fresh session keyring, the bounding set and the system call filters.
 * The caller keeps its effective capabilities, to drop its ids with.
 */
int nsi_confine_shared(const struct nsi_confinement *c, struct nsi_error *err);

/* All of it: the above, then groups, ids, capabilities and the working directory. Nothing can be regained. */
int nsi_confine(const struct nsi_confinement *c, struct nsi_error *err);

/* Nobody with the same ids, and nobody inside, may look into this process, prctl(2) PR_SET_DUMPABLE. */
int nsi_hide_process(struct nsi_error *err);

/* Of the caller's supplementary groups keep those that have the same number inside. Before or after
 * nsi_enter(), whichever has the right to. */
int nsi_filter_groups(const struct nsi_confinement *c, struct nsi_error *err);

#endif
