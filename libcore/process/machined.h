/*
 * systemd-machined(8), told of a container by busctl(1): machinectl(1) lists it then, and its supervisor is
 * in a scope of systemd's. Nobody waits for it: it is begun, and finished when `pidfd` can be read.
 */
#ifndef NSINIT_MACHINED_H
#define NSINIT_MACHINED_H

#include "../base/error.h"

#include <sys/types.h>

struct nsi_machined {
	pid_t pid; /* of busctl; 0: it is not running */
	int pidfd, said;
};

/*
 * Ask for a machine "nsinit-ID" in the name of this process, which has to be the container's supervisor: what
 * is inside stays in its own control group. `user` and `rootfs` are for those who look. Needs root.
 */
int nsi_machined_begin(const char *id, const char *user, const char *rootfs, struct nsi_machined *ret,
	struct nsi_error *err);

/* Reap it, at once where it has not ended by itself. -EIO: it has failed, or was ended. */
int nsi_machined_finish(struct nsi_machined *m, struct nsi_error *err);

#endif
