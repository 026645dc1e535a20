/* A container that an ordinary user starts. */
#ifndef NSINIT_ROOTLESS_H
#define NSINIT_ROOTLESS_H

#include "../../libcore/decide/plan.h"

/* Make the plan one for the user who runs this. */
int rootless_plan(struct nsi_plan *plan, struct nsi_error *err);

#endif
