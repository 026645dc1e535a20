/* Resource limits, which only the host's root may raise, and the out-of-memory score. */
#ifndef NSINIT_LIMITS_H
#define NSINIT_LIMITS_H

#include "../decide/plan.h"

/*
 * Raise the caller's own hard limits where they are below. On the host, before anything is entered or forked:
 * it needs CAP_SYS_RESOURCE there. Whoever is not root makes do with what it has.
 */
int nsi_raise_limits(const struct nsi_limits *limits, struct nsi_error *err);

/* Set the caller's own limits, up to its hard limits. Anywhere; the last step before the program. */
int nsi_set_limits(const struct nsi_limits *limits, struct nsi_error *err);

/*
 * Set the score of the process behind `pidfd`; -1: of the caller. On the host, as root; without privilege the
 * caller's own, upwards, and before it is hidden.
 */
int nsi_set_oom_score(int pidfd, const struct nsi_limits *limits, struct nsi_error *err);

/* Have the kernel kill others before the process, when memory is short: lower its score, as far as we may. */
void nsi_spare_process(int pidfd, int by);

#endif
