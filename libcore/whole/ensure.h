/* Have a container live: ask its supervisor, or make sure that there is none and start one. */
#ifndef NSINIT_ENSURE_H
#define NSINIT_ENSURE_H

#include "control.h"

enum { NSI_LOCK_DEADLINE_MS = 15000 };

/*
 * With the lock held: wait for an ending supervisor to be gone, and remove what a killed one left behind.
 * -EBUSY: it still runs but does not answer.
 */
int nsi_make_room(const char *id, int rootfd, struct nsi_error *err);

/*
 * Ask the supervisor of the decided container, which is started where none lives. The connection is the
 * session; the answer's descriptors are in `fds`. Needs root.
 */
int nsi_ensure(const struct nsi_login *who, const struct nsi_question *q, int *ret_sock,
	struct nsi_reply *reply, int fds[], struct nsi_error *err);

#endif
