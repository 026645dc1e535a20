/* What `nsinit check` and `nsinit explain` say of mounts. */
#ifndef NSINIT_SHOW_MOUNTS_H
#define NSINIT_SHOW_MOUNTS_H

#include "../../libcore/parse/spec.h"

void print_mount(const struct nsi_mount *m);

/* Where the decided container's files come from, after its "rootfs:" line. */
void print_root(const struct nsi_decision *decision);

#endif
