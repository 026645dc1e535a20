/* A new container: its pid 1, from clone to the moment it may execute. */
#ifndef NSINIT_SPAWN_H
#define NSINIT_SPAWN_H

#include "exec.h"

/*
 * Clone pid 1 into the plan's namespaces, give it its maps, network and root directory, and have it build and
 * confine itself, while the caller does something else. It is killed when the caller's thread ends.
 * `rootfd` is the rootfs directory, `image` that of an image or -1; `veth` the name of the host's end of its
 * network. Single-threaded callers with CAP_SYS_ADMIN only.
 */
int nsi_spawn(const struct nsi_plan *plan, const struct nsi_exec *exec, int rootfd, int image,
	const char *veth, struct nsi_process *ret, struct nsi_error *err);

/* Wait until it has done so, up to the exec, which nsi_process_go() releases. On failure it is the caller's
 * to end, as afterwards. */
int nsi_spawn_ready(const struct nsi_plan *plan, struct nsi_process *p, struct nsi_error *err);

#endif
