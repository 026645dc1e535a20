/* What `nsinit check` says of mounts. */
#ifndef NSINIT_SHOW_MOUNTS_H
#define NSINIT_SHOW_MOUNTS_H

#include "../../libcore/parse/spec.h"

void print_mount(const struct nsi_mount *m);

#endif
