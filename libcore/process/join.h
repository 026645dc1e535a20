/* A process in a live container. */
#ifndef NSINIT_JOIN_H
#define NSINIT_JOIN_H

#include "exec.h"

/*
 * Start exec in the container of pid 1 `pidfd`, confined as pid 1 is. The new process is a child of the
 * caller and is killed when the caller's thread ends. Single-threaded callers only, with
 * CAP_SYS_ADMIN over its namespaces: root, or the owner of its user namespace.
 */
int nsi_join(const struct nsi_confinement *confine, int pidfd, int devpts, const struct nsi_exec *exec,
	struct nsi_process *ret, struct nsi_error *err);

/* Start exec here, where the caller is; its terminal is made in `devpts`. The same rules otherwise. */
int nsi_start(int devpts, const struct nsi_exec *exec, struct nsi_process *ret, struct nsi_error *err);

/*
 * A detached copy of the container's devpts, to be mounted elsewhere: taken by a process inside its mount
 * namespace, as only that can copy it.
 */
int nsi_borrow_terminals(int pidfd, int devpts, int *ret_tree, struct nsi_error *err);

#endif
