#include "netlink.h"

#include "../base/io.h"
#include "bridge.h"
#include "request.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ on the host */

static void name_host_end(char name[IFNAMSIZ], const char *first, int i)
{
	snprintf(name, IFNAMSIZ, i ? "%s-%d" : "%s", first, i);
}

/* Ports that are isolated do not reach each other, but the bridge itself, bridge(8). */
static void put_port(struct nlmsghdr *h, bool isolate)
{
	if (!isolate)
		return;
	struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_SLAVE_KIND, "bridge");
	struct nlattr *data = mnl_attr_nest_start(h, IFLA_INFO_SLAVE_DATA);
	mnl_attr_put_u8(h, IFLA_BRPORT_ISOLATED, 1);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
}

/* Down and on no bridge yet: as a port it is isolated before its first packet. */
static int create_pair(
	struct nsi_netlink *nl, const char *host_name, const struct nsi_interface *i, int netns)
{
	struct nsi_net_request q;

	nsi_request(&q, nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(q.header, IFLA_IFNAME, host_name);
	if (i->mtu)
		mnl_attr_put_u32(q.header, IFLA_MTU, i->mtu);
	struct nlattr *info = mnl_attr_nest_start(q.header, IFLA_LINKINFO);
	mnl_attr_put_strz(q.header, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(q.header, IFLA_INFO_DATA);
	struct nlattr *peer = mnl_attr_nest_start(q.header, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(q.header, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(q.header, IFLA_IFNAME, i->name);
	mnl_attr_put_u32(q.header, IFLA_NET_NS_FD, (uint32_t)netns);
	if (i->mtu)
		mnl_attr_put_u32(q.header, IFLA_MTU, i->mtu);
	if (i->has_mac)
		mnl_attr_put(q.header, IFLA_ADDRESS, sizeof(i->mac), i->mac);
	mnl_attr_nest_end(q.header, peer);
	mnl_attr_nest_end(q.header, data);
	mnl_attr_nest_end(q.header, info);
	return nsi_request_finish(&q);
}

static int change_port(struct nsi_netlink *nl, unsigned index, unsigned bridge, bool isolate, unsigned up)
{
	struct nsi_net_request q;
	struct ifinfomsg *link = nsi_request(&q, nl, RTM_NEWLINK, 0, sizeof(*link));

	link->ifi_index = (int)index;
	link->ifi_flags = link->ifi_change = up;
	if (bridge)
		mnl_attr_put_u32(q.header, IFLA_MASTER, bridge);
	put_port(q.header, isolate);
	return nsi_request_finish(&q);
}

static int missing_bridge(const char *bridge, struct nsi_error *err)
{
	char hint[256];

	snprintf(hint, sizeof(hint),
		"create it: ip link add name %s type bridge && ip address add GATEWAY/PREFIX dev %s && ip "
		"link set %s up",
		bridge, bridge, bridge);
	return nsi_failf(err, ENODEV, "connecting to bridge", bridge, hint, "there is no such interface");
}

static int connect_one(struct nsi_netlink *nl, const struct nsi_interface *i, const char *host_name,
	int netns, struct nsi_error *err)
{
	char what[64];
	int r = i->host.name[0] ? nsi_bridge_prepare(&i->host, err) : 0;
	unsigned bridge = if_nametoindex(i->bridge);

	if (r < 0)
		return r;
	if (!bridge)
		return missing_bridge(i->bridge, err);
	r = create_pair(nl, host_name, i, netns);
	if (r < 0) {
		snprintf(what, sizeof(what), "%s, %s inside", host_name, i->name);
		return nsi_netlink_fail(nl, r, "making interface", what, NULL, err);
	}
	unsigned index = if_nametoindex(host_name);
	r = change_port(nl, index, bridge, false, 0);
	if (r == 0)
		r = change_port(nl, index, 0, i->host.isolate, IFF_UP);
	return r < 0 ? nsi_netlink_fail(nl, r, "connecting to bridge", i->bridge,
			       r == -EOPNOTSUPP ? "is the interface a bridge?" : NULL, err)
		     : 0;
}

int nsi_net_connect(const struct nsi_network *net, const char *host_name, int netns, struct nsi_error *err)
{
	struct nsi_netlink nl cleanup_netlink = {.sock = -1};
	char name[IFNAMSIZ];
	int r = nsi_netlink_open(&nl, NETLINK_ROUTE, err);

	for (int i = 0; r == 0 && i < net->n_interfaces; i++) {
		name_host_end(name, host_name, i);
		r = connect_one(&nl, &net->interfaces[i], name, netns, err);
	}
	return r < 0 ? nsi_error_reason(err, "network") : 0;
}

void nsi_net_disconnect(const struct nsi_network *net, const char *host_name)
{
	struct nsi_netlink nl cleanup_netlink = {.sock = -1};
	struct nsi_net_request q;
	char name[IFNAMSIZ];

	if (!net->n_interfaces || nsi_netlink_open(&nl, NETLINK_ROUTE, NULL) < 0)
		return;
	for (int i = 0; i < net->n_interfaces; i++) {
		name_host_end(name, host_name, i);
		nsi_request(&q, &nl, RTM_DELLINK, 0, sizeof(struct ifinfomsg));
		mnl_attr_put_strz(q.header, IFLA_IFNAME, name);
		nsi_request_finish(&q);
	}
}

/* ------------------------------------------------------------------ inside */

int nsi_link_up(struct nsi_netlink *nl, unsigned index)
{
	struct nsi_net_request q;
	struct ifinfomsg *link = nsi_request(&q, nl, RTM_NEWLINK, 0, sizeof(*link));

	link->ifi_index = (int)index;
	link->ifi_flags = link->ifi_change = IFF_UP;
	return nsi_request_finish(&q);
}

int nsi_address_add(struct nsi_netlink *nl, unsigned index, const struct nsi_address *a)
{
	struct nsi_net_request q;
	struct ifaddrmsg *m = nsi_request(&q, nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*m));

	m->ifa_family = (uint8_t)a->family;
	m->ifa_prefixlen = a->prefix;
	m->ifa_index = index;
	if (a->family == AF_INET6)
		m->ifa_flags = IFA_F_NODAD; /* usable at once: whose it is has been decided already */
	mnl_attr_put(q.header, IFA_LOCAL, nsi_address_size(a), a->bytes);
	mnl_attr_put(q.header, IFA_ADDRESS, nsi_address_size(a), a->bytes);
	return nsi_request_finish(&q);
}

static int add_route(struct nsi_netlink *nl, unsigned index, const struct nsi_route *route)
{
	size_t size = nsi_address_size(&route->to);
	struct nsi_net_request q;
	struct rtmsg *m = nsi_request(&q, nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(*m));

	m->rtm_family = (uint8_t)route->to.family;
	m->rtm_dst_len = route->to.prefix;
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = RTPROT_STATIC;
	m->rtm_scope = route->gateway.family ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	m->rtm_type = RTN_UNICAST;
	if (route->to.prefix)
		mnl_attr_put(q.header, RTA_DST, size, route->to.bytes);
	if (route->gateway.family)
		mnl_attr_put(q.header, RTA_GATEWAY, size, route->gateway.bytes);
	if (route->metric)
		mnl_attr_put_u32(q.header, RTA_PRIORITY, route->metric);
	mnl_attr_put_u32(q.header, RTA_OIF, index);
	return nsi_request_finish(&q);
}

static int give_addresses(
	struct nsi_netlink *nl, unsigned index, const struct nsi_interface *i, struct nsi_error *err)
{
	char text[NSI_CIDR_SIZE], what[128];

	for (int n = 0; n < i->n_addresses; n++) {
		int r = nsi_address_add(nl, index, &i->addresses[n]);

		if (r == 0)
			continue;
		snprintf(what, sizeof(what), "%s to %s", nsi_cidr_text(&i->addresses[n], text), i->name);
		return nsi_netlink_fail(nl, r, "giving address", what, NULL, err);
	}
	return 0;
}

/* The listed routes first: a gateway may lie behind one of them. */
static int give_routes(
	struct nsi_netlink *nl, unsigned index, const struct nsi_interface *i, struct nsi_error *err)
{
	char to[NSI_CIDR_SIZE], via[NSI_CIDR_SIZE], what[160];

	for (int n = 0; n < i->n_routes + i->n_gateways; n++) {
		struct nsi_route route = {0};

		if (n < i->n_routes) {
			route = i->routes[n];
		} else {
			route.gateway = i->gateways[n - i->n_routes];
			route.to.family = route.gateway.family;
		}
		int r = add_route(nl, index, &route);
		if (r == 0)
			continue;
		nsi_cidr_text(&route.gateway, via);
		snprintf(what, sizeof(what), "%s%s%s on %s", nsi_cidr_text(&route.to, to),
			route.gateway.family ? " via " : "", route.gateway.family ? via : "", i->name);
		return nsi_netlink_fail(nl, r, "adding route", what, NULL, err);
	}
	return 0;
}

/* Neighbours may still know our address by the hardware address of the container before. */
static void announce(const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/arp_notify", name);
	nsi_write_file(path, "1");
	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/ndisc_notify", name);
	nsi_write_file(path, "1");
}

static int configure(struct nsi_netlink *nl, const struct nsi_interface *i, struct nsi_error *err)
{
	unsigned index = if_nametoindex(i->name);

	if (!index)
		return nsi_fail(err, ENODEV, "configuring", i->name, NULL);
	announce(i->name);
	int r = give_addresses(nl, index, i, err);
	if (r < 0)
		return r;
	r = nsi_link_up(nl, index);
	return r < 0 ? nsi_netlink_fail(nl, r, "bringing up", i->name, NULL, err)
		     : give_routes(nl, index, i, err);
}

int nsi_net_configure(const struct nsi_network *net, struct nsi_error *err)
{
	struct nsi_netlink nl cleanup_netlink = {.sock = -1};
	int r = nsi_netlink_open(&nl, NETLINK_ROUTE, err);

	if (r < 0)
		return r;
	r = nsi_link_up(&nl, 1); /* lo is always interface 1 of a network namespace */
	if (r < 0)
		return nsi_netlink_fail(&nl, r, "bringing up", "lo", NULL, err);
	for (int i = 0; r == 0 && i < net->n_interfaces; i++)
		r = configure(&nl, &net->interfaces[i], err);
	return r;
}
