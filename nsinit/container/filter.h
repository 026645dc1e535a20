/* The system call filter that a container.json asks for. */
#ifndef NSINIT_FILTER_H
#define NSINIT_FILTER_H

#include "../../libcore/decide/plan.h"

/* Read the profile if there is one, and compile the plan's filter; or take that of an earlier start, if all
 * that it follows from is the same. */
int filter_make(const struct nsi_spec *spec, struct nsi_plan *plan, struct nsi_error *err);

/* Compile it in any case, and leave nothing behind. */
int filter_try(const struct nsi_spec *spec, struct nsi_plan *plan, struct nsi_error *err);

#endif
