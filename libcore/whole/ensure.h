/* The question before every start: is the supervisor of this container really gone? */
#ifndef NSINIT_ENSURE_H
#define NSINIT_ENSURE_H

#include "../base/error.h"

enum { NSI_LOCK_DEADLINE_MS = 15000 };

/* The root directory for logins: root's, and below a directory that keeps everybody else out. */
int nsi_rootfs_open(const char *path, int *ret_fd, struct nsi_error *err);

/* Whether result `r` of connecting or asking says that no supervisor answers (and not that it refused). */
bool nsi_supervisor_gone(int r);

/*
 * With the lock held: wait for an ending supervisor to be gone, and remove what a killed one left behind.
 * -EBUSY: it still runs but does not answer.
 */
int nsi_make_room(const char *id, int rootfd, struct nsi_error *err);

#endif
