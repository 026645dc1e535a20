#include "bridge.h"

#include "../base/cleanup.h"
#include "../base/io.h"
#include "../parse/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* ------------------------------------------------------------------ the interface */

/* With a hardware address of its own: otherwise it changes with the ports that come and go. */
static int create(struct nsi_netlink *nl, const char *name)
{
	struct nsi_net_request q;
	uint8_t mac[6] = {0};

	if (getrandom(mac, sizeof(mac), 0) < 0)
		return -errno;
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2); /* one interface's, locally administered */
	nsi_request(&q, nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(q.header, IFLA_IFNAME, name);
	mnl_attr_put(q.header, IFLA_ADDRESS, sizeof(mac), mac);
	struct nlattr *info = mnl_attr_nest_start(q.header, IFLA_LINKINFO);
	mnl_attr_put_strz(q.header, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(q.header, info);
	int r = nsi_request_finish(&q);
	return r == -EEXIST ? 0 : r;
}

static int set_sysctl(const char *family, const char *interface, const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, interface, name);
	return nsi_write_file(path, value);
}

/* A container that may send raw packets, as most do, could otherwise become the host's IPv6 router. */
static int refuse_routers(const char *name, struct nsi_error *err)
{
	int r = set_sysctl("ipv6", name, "accept_ra", "0");

	return r == 0 || r == -ENOENT ? 0 : nsi_fail(err, -r, "refusing routers on bridge", name, NULL);
}

static int make(const struct nsi_bridge *b, struct nsi_error *err)
{
	struct nsi_netlink nl cleanup_netlink = {.sock = -1};
	char text[NSI_CIDR_SIZE], what[96];
	int r = nsi_netlink_open(&nl, NETLINK_ROUTE, err);

	if (r < 0)
		return r;
	r = create(&nl, b->name);
	if (r < 0)
		return nsi_netlink_fail(&nl, r, "making bridge", b->name, NULL, err);
	r = refuse_routers(b->name, err);
	if (r < 0)
		return r;
	unsigned index = if_nametoindex(b->name);
	for (int i = 0; i < b->n_addresses; i++) {
		r = nsi_address_add(&nl, index, &b->addresses[i]);
		if (r == 0 || r == -EEXIST)
			continue;
		snprintf(what, sizeof(what), "%s to bridge %s", nsi_cidr_text(&b->addresses[i], text),
			b->name);
		return nsi_netlink_fail(&nl, r, "giving address", what, NULL, err);
	}
	r = nsi_link_up(&nl, index);
	return r < 0 ? nsi_netlink_fail(&nl, r, "bringing up bridge", b->name, NULL, err) : 0;
}

/* ------------------------------------------------------------------ forwarding */

static int forward(const char *family, const char *interface, struct nsi_error *err)
{
	int r = set_sysctl(family, interface, "forwarding", "1");

	return r < 0 ? nsi_fail(err, -r, "enabling forwarding on", interface, NULL) : 0;
}

/*
 * Only where it is needed: on the bridge, and on the interfaces where the answers come in, which are those
 * with a default route. net.ipv4.ip_forward would make a router of the host between all its networks.
 */
static int forward_ipv4(const char *bridge, struct nsi_error *err)
{
	cleanup_fd int fd = open("/proc/net/route", O_RDONLY | O_CLOEXEC);
	char line[256], name[IFNAMSIZ];
	int r = forward("ipv4", bridge, err);

	FILE *f = fd < 0 ? NULL : fdopen(fd, "re");
	if (!f)
		return r;
	nsi_take_fd(&fd);
	while (r == 0 && fgets(line, sizeof(line), f))
		if (nsi_is_default_route(line, name))
			r = forward("ipv4", name, err);
	fclose(f);
	return r;
}

/*
 * IPv6 knows it for all interfaces only. A host that forwards no longer learns its default route from
 * routers, unless accept_ra is 2: those that did so far are to go on. Not by "default": a bridge that is made
 * later is none of them.
 */
static int forward_ipv6(struct nsi_error *err)
{
	static const char all[] = "/proc/sys/net/ipv6/conf/all/forwarding";
	cleanup_fd int now = open(all, O_RDONLY | O_CLOEXEC);
	const struct dirent *entry;
	char c = '0', path[320];

	if (now >= 0 && read(now, &c, 1) == 1 && c != '0')
		return 0;
	DIR *dir = opendir("/proc/sys/net/ipv6/conf");
	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/accept_ra", entry->d_name);
		bool skipped = entry->d_name[0] == '.' || strcmp(entry->d_name, "default") == 0;
		cleanup_fd int fd = skipped ? -1 : open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && read(fd, &c, 1) == 1 && c == '1' && pwrite(fd, "2", 1, 0) < 0) {
			closedir(dir);
			return nsi_fail(err, errno, "keeping the router's advertisements in", path, NULL);
		}
	}
	if (dir)
		closedir(dir);
	return forward("ipv6", "all", err);
}

int nsi_bridge_prepare(const struct nsi_bridge *b, struct nsi_error *err)
{
	int r = b->create ? make(b, err) : 0;

	if (r < 0 || !if_nametoindex(b->name))
		return r;
	/* The rules first: nothing is forwarded that they would have held. */
	r = nsi_nft_bridge(b, err);
	for (int i = 0; r == 0 && b->nat && i < b->n_addresses; i++)
		r = b->addresses[i].family == AF_INET ? forward_ipv4(b->name, err) : forward_ipv6(err);
	return r;
}
