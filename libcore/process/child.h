/* Everything between the last fork and the exec. */
#ifndef NSINIT_CHILD_H
#define NSINIT_CHILD_H

#include "exec.h"

/* Send a record, with descriptors. 0 or -errno. */
int nsi_sync_send(int sync, enum nsi_sync kind, const int *fds, int n_fds);

/*
 * Receive a record. 1, or 0 at end of file, or the failure: also that of an ERROR record. Whoever is root
 * inside may hold the sender by ptrace(2) and speak in its place: so the record is taken for no more than it
 * can be, and of the descriptors only the first `n_fds` (-1: there are less) are kept.
 */
int nsi_sync_receive(int sync, enum nsi_sync *ret_kind, int fds[], int n_fds, struct nsi_error *err);

/* The same where only one of `kind` will do: 0, or the failure. */
int nsi_sync_expect(int sync, enum nsi_sync kind, int fds[], int n_fds, struct nsi_error *err);

/* Report `err` to the parent and end. */
_Noreturn void nsi_child_fail(int sync, const struct nsi_error *err);

/* Close everything but these; -1 among them is skipped. 0 or -errno: then some are open still. */
int nsi_close_all_but(const int *kept, size_t n);

/*
 * In a process that is inside and confined: say READY (passing `fds`), wait for GO, execute. `slave` is the
 * terminal for exec->tty, or -1; `limits` NULL: those that it has. Closes all descriptors but those that
 * it needs. Dies with its parent.
 */
_Noreturn void nsi_child_run(const struct nsi_exec *exec, const struct nsi_limits *limits, int slave,
	int sync, const int *fds, int n_fds);

#endif
