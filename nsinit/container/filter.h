/* The system call filter that a container.json asks for. */
#ifndef NSINIT_FILTER_H
#define NSINIT_FILTER_H

#include "../../libcore/decide/plan.h"

/* Read the profile if there is one, and compile the plan's filter. */
int filter_make(const struct nsi_spec *spec, struct nsi_plan *plan, struct nsi_error *err);

#endif
