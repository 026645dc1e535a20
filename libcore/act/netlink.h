/* Network interfaces over rtnetlink(7). No memory is allocated. */
#ifndef NSINIT_NETLINK_H
#define NSINIT_NETLINK_H

#include "../parse/spec.h"

/*
 * On the host: a veth pair whose host end `host_name` is up on the bridge, and whose other end is "eth0" of
 * the network namespace `netns`. The kernel removes the pair with that namespace.
 */
int nsi_net_connect(const struct nsi_network *net, const char *host_name, int netns, struct nsi_error *err);

/* Remove the host end; it is no error when it is gone. */
int nsi_net_disconnect(const char *host_name, struct nsi_error *err);

/* Inside: bring lo up, and with `net->present` give eth0 its address, MTU and route. */
int nsi_net_configure(const struct nsi_network *net, struct nsi_error *err);

#endif
