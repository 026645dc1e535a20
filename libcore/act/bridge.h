/* The host's side of a bridge that the policy lists. Everything may be done twice, and by two at a time. */
#ifndef NSINIT_BRIDGE_H
#define NSINIT_BRIDGE_H

#include "../parse/network.h"
#include "request.h"

/*
 * Make it where it is missing and is to be made, and have it forward and filter as the policy says. A bridge
 * that is missing and not to be made is no error here.
 */
int nsi_bridge_prepare(const struct nsi_bridge *b, struct nsi_error *err);

/* Rules for it in the table "inet nsinit" of nftables; removes those of a former policy. */
int nsi_nft_bridge(const struct nsi_bridge *b, struct nsi_error *err);

int nsi_link_up(struct nsi_netlink *nl, unsigned index);
int nsi_address_add(struct nsi_netlink *nl, unsigned index, const struct nsi_address *a);

#endif
