/* A container's interfaces, over rtnetlink(7). No memory is allocated. */
#ifndef NSINIT_NETLINK_H
#define NSINIT_NETLINK_H

#include "../base/error.h"
#include "../parse/network.h"

/*
 * On the host: for each interface a veth pair whose host end is up on the bridge (which is made and set up as
 * the policy wants), and whose other end is in the network namespace `netns`. The first host end is
 * `host_name`, the next "<host_name>-1". The kernel removes the pairs with that namespace.
 */
int nsi_net_connect(const struct nsi_network *net, const char *host_name, int netns, struct nsi_error *err);

/* Remove the host ends; it is no error when they are gone. */
void nsi_net_disconnect(const struct nsi_network *net, const char *host_name);

/* Inside: bring lo up, and give every interface its addresses and routes. */
int nsi_net_configure(const struct nsi_network *net, struct nsi_error *err);

#endif
