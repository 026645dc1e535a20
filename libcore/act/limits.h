/* Resource limits, which only the host's root may raise, and the out-of-memory score. */
#ifndef NSINIT_LIMITS_H
#define NSINIT_LIMITS_H

#include "../decide/plan.h"

/*
 * Set them on process `pid`, which must not be able to end unnoticed: a child not waited for, or the caller
 * itself, 0. Whoever is not root gets no more than the limits it has, and the score it has.
 */
int nsi_set_limits(pid_t pid, const struct nsi_limits *limits, struct nsi_error *err);

/* Set the score of the process behind `pidfd`. */
int nsi_set_oom_score(int pidfd, const struct nsi_limits *limits, struct nsi_error *err);

#endif
