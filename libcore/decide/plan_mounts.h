/* The mounts of container.json in the plan. */
#ifndef NSINIT_PLAN_MOUNTS_H
#define NSINIT_PLAN_MOUNTS_H

#include "plan.h"

/* Take them over, if the policy lets the login's container have them; without a login it may have any. */
int nsi_plan_copy_mounts(struct nsi_plan *plan, const struct nsi_spec *spec, const struct nsi_login *login,
	struct nsi_error *err);

/*
 * Add the operations of those at and below the home directory, or of all others, in their order: the others
 * come before the home directory's mount, which they would cover. Without one, all are "others".
 */
int nsi_plan_add_mounts(struct nsi_plan *plan, const char *home, bool below, struct nsi_error *err);

#endif
