/* Mount attributes that nobody inside can take back. */
#ifndef NSINIT_LOCK_H
#define NSINIT_LOCK_H

#include "../base/error.h"

/*
 * Exchange `n` detached trees (-1 among them: none) for copies whose attributes are locked: who is privileged
 * in user namespace `userns`, as root inside may be and the login user from outside is, cannot make a
 * read-only one writable, or honour set-uid files where nosuid stands, mount_namespaces(7).
 */
int nsi_lock_trees(int userns, int trees[], int n, struct nsi_error *err);

#endif
