/* Terminals of the container. */
#ifndef NSINIT_TTY_H
#define NSINIT_TTY_H

#include "../base/error.h"

#include <stdbool.h>

/*
 * A new pseudoterminal of the devpts behind `devpts` (a descriptor of its root; nothing is resolved by path,
 * as root inside owns the paths). The slave belongs to `uid` and gid 5. Both ends are close-on-exec.
 */
int nsi_tty_open(int devpts, unsigned uid, int *ret_master, int *ret_slave, struct nsi_error *err);

/* A new master of it, whose slave may be opened, and the slave's number. */
int nsi_tty_master(int devpts, int *ret_master, unsigned *ret_number, struct nsi_error *err);

/* Let the slave belong to `uid`. */
int nsi_tty_give(int slave, unsigned uid, struct nsi_error *err);

/* Pass everything through as it is, cfmakeraw(3). */
int nsi_tty_raw(int fd, struct nsi_error *err);

/* Whether this process has one, as 0, 1 or 2 or as what controls it. */
bool nsi_has_terminal(void);

/*
 * Let both have the size of the terminal that is our 0, 1 or 2: the two that a recorder stands between,
 * before the shell looks. Later ones come by way of the recorder.
 */
void nsi_tty_size_of_ours(int master, int terminal);

/* Make `slave` the controlling terminal of the calling session leader. */
int nsi_tty_control(int slave, struct nsi_error *err);

#endif
