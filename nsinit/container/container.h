/* One container from its rootfs directory to its end, as its supervisor sees it. */
#ifndef NSINIT_CONTAINER_H
#define NSINIT_CONTAINER_H

#include "../../libcore/act/cgroup.h"
#include "../../libcore/decide/plan.h"
#include "../../libcore/process/exec.h"
#include "../../libcore/whole/lease.h"

struct container {
	int rootfd;
	int image; /* the image that `rootfd` has the changes of, or -1 */
	char id[NSI_ID_SIZE];
	char veth[16];
	struct nsi_plan *plan;
	struct nsi_process pid1;
	int range, roots, listen, door, nspid; /* descriptors, or -1 */
	char door_name[16];
	struct nsi_cgroup cgroup;
	uint64_t size;  /* that the changes to an image are held to, in bytes; 0: any */
	char note[256]; /* for the log: why the changes to an image are not limited; "": they are as decided
			 */
	struct nsi_leases leases;
	int proc; /* the proc file system of its pid namespace, or -1 */
};

/* Without any descriptor: container_free() may have it. */
struct container container_none(void);

/* Read container.json and what else of the image the plan needs. Starts nothing. Takes over `rootfd`. */
int container_load(struct container *c, int rootfd, const struct nsi_login *login, struct nsi_error *err);

/*
 * Spawn pid 1, publish the container (control socket, state, .nspid), and let it run. On failure everything
 * is undone, and *err may carry exit status 126 or 127.
 */
int container_start(struct container *c, const struct nsi_exec *exec, struct nsi_error *err);

/*
 * Send `sig` to every process in it but pid 1, whoever its parent is; 0 only looks. How many there are. -1:
 * it cannot be told.
 */
int container_signal(const struct container *c, int sig);

/* Kill what is left of it, wait for pid 1, and remove every trace. Returns pid 1's wait status, -1: none. */
int container_end(struct container *c);

void container_free(struct container *c);

#endif
