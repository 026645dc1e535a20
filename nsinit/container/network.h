/* A container's network before it starts. */
#ifndef NSINIT_NSINIT_NETWORK_H
#define NSINIT_NSINIT_NETWORK_H

#include "../../libcore/decide/plan.h"
#include "../../libcore/whole/lease.h"

/* Ask the policy, and lease what is to be leased. */
int network_prepare(const char *id, struct nsi_spec *spec, const struct nsi_login *login,
	struct nsi_leases *leases, struct nsi_error *err);

/* What the host's policy says of networks, for containers that root starts itself; nothing without a policy.
 */
int network_policy(struct nsi_network_policy *ret, struct nsi_error *err);

/* For `nsinit check`. */
void print_network(const struct nsi_spec *spec);

#endif
