#include "netlink.h"

#include "../base/cleanup.h"

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

enum { BUFFER = 4096 };

struct request {
	char buf[BUFFER];
	struct nlmsghdr *header;
	int sock;
};

static int open_rtnetlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

static void *begin(struct request *q, int sock, uint16_t type, uint16_t flags, size_t extra)
{
	q->sock = sock;
	q->header = mnl_nlmsg_put_header(q->buf);
	q->header->nlmsg_type = type;
	q->header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	q->header->nlmsg_seq = 1;
	return mnl_nlmsg_put_extra_header(q->header, extra);
}

/* Send, and wait for the acknowledgement. 0 or -errno. */
static int finish(struct request *q)
{
	char reply[BUFFER * 2];
	ssize_t n;

	if (send(q->sock, q->buf, q->header->nlmsg_len, 0) < 0)
		return -errno;
	do
		n = recv(q->sock, reply, sizeof(reply), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)reply;
	if (!mnl_nlmsg_ok(h, (int)n) || h->nlmsg_type != NLMSG_ERROR ||
		mnl_nlmsg_get_payload_len(h) < sizeof(struct nlmsgerr))
		return -EPROTO;
	return ((const struct nlmsgerr *)mnl_nlmsg_get_payload(h))->error;
}

static int create_pair(int sock, const char *host_name, unsigned bridge, unsigned mtu, int netns)
{
	struct request q;
	struct ifinfomsg *link = begin(&q, sock, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(*link));

	link->ifi_flags = link->ifi_change = IFF_UP;
	mnl_attr_put_strz(q.header, IFLA_IFNAME, host_name);
	mnl_attr_put_u32(q.header, IFLA_MASTER, bridge);
	if (mtu)
		mnl_attr_put_u32(q.header, IFLA_MTU, mtu);
	struct nlattr *info = mnl_attr_nest_start(q.header, IFLA_LINKINFO);
	mnl_attr_put_strz(q.header, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(q.header, IFLA_INFO_DATA);
	struct nlattr *peer = mnl_attr_nest_start(q.header, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(q.header, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(q.header, IFLA_IFNAME, "eth0");
	mnl_attr_put_u32(q.header, IFLA_NET_NS_FD, (uint32_t)netns);
	if (mtu)
		mnl_attr_put_u32(q.header, IFLA_MTU, mtu);
	mnl_attr_nest_end(q.header, peer);
	mnl_attr_nest_end(q.header, data);
	mnl_attr_nest_end(q.header, info);
	return finish(&q);
}

int nsi_net_connect(const struct nsi_network *net, const char *host_name, int netns, struct nsi_error *err)
{
	cleanup_fd int sock = open_rtnetlink();
	unsigned bridge = if_nametoindex(net->bridge);
	char hint[256];

	if (sock < 0)
		return nsi_fail(err, errno, "opening", "a netlink socket", NULL);
	if (!bridge) {
		snprintf(hint, sizeof(hint),
			"create it: ip link add name %s type bridge && ip address add GATEWAY/PREFIX dev %s "
			"&& ip "
			"link set %s up",
			net->bridge, net->bridge, net->bridge);
		nsi_failf(
			err, ENODEV, "connecting to bridge", net->bridge, hint, "there is no such interface");
		return nsi_error_reason(err, "network");
	}
	int r = create_pair(sock, host_name, bridge, net->mtu, netns);
	if (r < 0) {
		nsi_fail(err, -r, "connecting to bridge", net->bridge,
			r == -EOPNOTSUPP ? "is the interface a bridge?" : NULL);
		return nsi_error_reason(err, "network");
	}
	return 0;
}

int nsi_net_disconnect(const char *host_name, struct nsi_error *err)
{
	cleanup_fd int sock = open_rtnetlink();
	struct request q;

	if (sock < 0)
		return nsi_fail(err, errno, "opening", "a netlink socket", NULL);
	begin(&q, sock, RTM_DELLINK, 0, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(q.header, IFLA_IFNAME, host_name);
	int r = finish(&q);
	return r < 0 && r != -ENODEV ? nsi_fail(err, -r, "removing interface", host_name, NULL) : 0;
}

static int set_up(int sock, unsigned index)
{
	struct request q;
	struct ifinfomsg *link = begin(&q, sock, RTM_NEWLINK, 0, sizeof(*link));

	link->ifi_index = (int)index;
	link->ifi_flags = link->ifi_change = IFF_UP;
	return finish(&q);
}

static int add_address(int sock, unsigned index, const struct nsi_address *a)
{
	size_t len = a->family == AF_INET ? 4 : 16;
	struct request q;
	struct ifaddrmsg *m = begin(&q, sock, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*m));

	m->ifa_family = (uint8_t)a->family;
	m->ifa_prefixlen = a->prefix;
	m->ifa_index = index;
	if (a->family == AF_INET6)
		m->ifa_flags = IFA_F_NODAD; /* nobody else is on our end of the pair: usable at once */
	mnl_attr_put(q.header, IFA_LOCAL, len, a->bytes);
	mnl_attr_put(q.header, IFA_ADDRESS, len, a->bytes);
	return finish(&q);
}

static int add_default_route(int sock, unsigned index, const struct nsi_address *gateway)
{
	struct request q;
	struct rtmsg *m = begin(&q, sock, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(*m));

	m->rtm_family = (uint8_t)gateway->family;
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = RTPROT_STATIC;
	m->rtm_scope = RT_SCOPE_UNIVERSE;
	m->rtm_type = RTN_UNICAST;
	mnl_attr_put(q.header, RTA_GATEWAY, gateway->family == AF_INET ? 4 : 16, gateway->bytes);
	mnl_attr_put_u32(q.header, RTA_OIF, index);
	return finish(&q);
}

int nsi_net_configure(const struct nsi_network *net, struct nsi_error *err)
{
	cleanup_fd int sock = open_rtnetlink();
	int r;

	if (sock < 0)
		return nsi_fail(err, errno, "opening", "a netlink socket", NULL);
	r = set_up(sock, 1); /* lo is always interface 1 of a network namespace */
	if (r < 0)
		return nsi_fail(err, -r, "bringing up", "lo", NULL);
	if (!net->present)
		return 0;
	unsigned eth0 = if_nametoindex("eth0");
	if (!eth0)
		return nsi_fail(err, ENODEV, "configuring", "eth0", NULL);
	r = add_address(sock, eth0, &net->address);
	if (r < 0)
		return nsi_fail(err, -r, "giving its address to", "eth0", NULL);
	r = set_up(sock, eth0);
	if (r < 0)
		return nsi_fail(err, -r, "bringing up", "eth0", NULL);
	if (net->gateway.family)
		r = add_default_route(sock, eth0, &net->gateway);
	return r < 0 ? nsi_fail(err, -r, "adding the default route to", "eth0", NULL) : 0;
}
