/* System call filters, seccomp(2), on the calling process and all that it starts. They are never lifted. */
#ifndef NSINIT_SECCOMP_H
#define NSINIT_SECCOMP_H

#include "../base/error.h"

/*
 * Refuse the ioctls that put input into a terminal as if it had been typed there: TIOCSTI, and TIOCLINUX's
 * selection, ioctl_tty(2). For a process that takes the caller's terminal inside. Needs CAP_SYS_ADMIN;
 * set-uid programs keep working.
 */
int nsi_deny_terminal_input(struct nsi_error *err);

#endif
