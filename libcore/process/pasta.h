/*
 * An ordinary user's way out of a network namespace: pasta(1), of the package passt, which answers for the
 * outside with sockets of its own. It runs outside, as the user.
 */
#ifndef NSINIT_PASTA_H
#define NSINIT_PASTA_H

#include "../parse/network.h"
#include "exec.h"

/*
 * Connect the network namespace of process `pid`, whose id maps are written and which can be looked at.
 * Returns when the interface is there. It ends with the caller's thread at the latest.
 */
int nsi_pasta_start(const struct nsi_network *net, pid_t pid, struct nsi_pasta *ret, struct nsi_error *err);

/* End it, if it was started. */
void nsi_pasta_end(struct nsi_pasta *pasta);

#endif
