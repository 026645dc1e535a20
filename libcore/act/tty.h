/* Terminals of the container. */
#ifndef NSINIT_TTY_H
#define NSINIT_TTY_H

#include "../base/error.h"

/*
 * A new pseudoterminal of the devpts behind `devpts` (a descriptor of its root; nothing is resolved by path,
 * as root inside owns the paths). The slave belongs to `uid` and gid 5. Both ends are close-on-exec.
 */
int nsi_tty_open(int devpts, unsigned uid, int *ret_master, int *ret_slave, struct nsi_error *err);

/* Make `slave` the controlling terminal of the calling session leader. */
int nsi_tty_control(int slave, struct nsi_error *err);

#endif
