/*
 * Root directories in use: none lies in another, nor in an image, nor an image in one of them. What runs in
 * one could otherwise change what another is made of, with the rights of the host's root.
 *
 * NSI_RUN_DIR/roots has nothing in it but locks, fcntl(2), which end with the process that holds them. Each
 * directory has two bytes: the first is locked for writing by the container whose root directory it is, and
 * for reading by every one whose root directory or image lies below; the second for reading by the containers
 * whose image it is.
 */
#ifndef NSINIT_ROOTS_H
#define NSINIT_ROOTS_H

#include "../base/error.h"

/*
 * Claim a root directory, and the image (or -1) that it has the changes of. Held until *ret_fd is closed, in
 * every process that has it. -EBUSY: refused, and why.
 */
int nsi_claim_roots(int rootfd, int image, int *ret_fd, struct nsi_error *err);

#endif
