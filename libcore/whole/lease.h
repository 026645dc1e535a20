/*
 * Addresses that belong to one container at a time, in NSI_RUN_DIR/leases:
 *
 *     lock                  held while one is looked for
 *     <address>             locked by the supervisor that uses it; says for which interface (the last time)
 *     of-<interface>        the address that it had the last time
 *
 * where <interface> is "<container id>.<name>.<4 or 6>". An address is free when its file is not locked: it
 * needs nobody to give it back. The files stay, so that a container gets its address again.
 */
#ifndef NSINIT_LEASE_H
#define NSINIT_LEASE_H

#include "../parse/network.h"
#include "state.h"

struct nsi_leases {
	int n;
	int fds[NSI_MAX_INTERFACES * (NSI_MAX_ADDRESSES + 2)];
};

/*
 * Add addresses of the pools to the interfaces that want one, and reserve the fixed ones that lie in a pool.
 * Held until nsi_leases_release(), also on failure.
 */
int nsi_lease(const char *id, struct nsi_network *net, struct nsi_leases *leases, struct nsi_error *err);

void nsi_leases_release(struct nsi_leases *leases);

#endif
