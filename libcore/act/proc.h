/* What /proc knows of a process. */
#ifndef NSINIT_ACT_PROC_H
#define NSINIT_ACT_PROC_H

#include "../base/error.h"

#include <sys/types.h>

/*
 * The number of a pidfd's process in our pid namespace: its own as long as it has not been reaped. -ESRCH: it
 * has been, or it is no pidfd.
 */
int nsi_pidfd_number(int pidfd, pid_t *ret_pid);

/* Its directory in /proc: this process's, and not that of one that has the number now. */
int nsi_pidfd_dir(int pidfd, int *ret_dir, struct nsi_error *err);

#endif
