/* What container.json asks of the network, and what the policy says of it. Plain values. */
#ifndef NSINIT_NETWORK_H
#define NSINIT_NETWORK_H

#include "cidr.h"

enum {
	NSI_MAX_INTERFACES = 8,
	NSI_MAX_ADDRESSES = 8,
	NSI_MAX_ROUTES = 16,
	NSI_MAX_NAMESERVERS = 3, /* resolv.conf(5) takes no more */
	NSI_MAX_BRIDGES = 8,
};

struct nsi_nameservers {
	int n;
	struct nsi_address list[NSI_MAX_NAMESERVERS];
};

/* A bridge of the policy's "networks". */
struct nsi_bridge {
	char name[16]; /* "": the bridge is not listed */
	bool create;   /* make it where it is missing; give it its addresses */
	bool nat;      /* forward what comes from it, as if from the host */
	bool isolate;  /* containers on it do not reach each other */
	int n_addresses, n_pools;
	struct nsi_address addresses[2]; /* the host's on it: IPv4, IPv6 */
	struct nsi_address pools[2];     /* networks to lease from */
	struct nsi_nameservers nameservers;
};

/* The policy's word on a container. Without any list of bridges, every bridge that exists may be named. */
struct nsi_network_policy {
	bool host;            /* the host's own network is allowed */
	bool bridges_limited; /* only `bridges` */
	int n_bridges, n_networks;
	char bridges[NSI_MAX_BRIDGES][16];
	struct nsi_bridge networks[NSI_MAX_BRIDGES];
};

struct nsi_route {
	struct nsi_address to, gateway; /* gateway of family 0: on the link itself */
	uint32_t metric;                /* 0: the kernel's */
};

/* A veth pair: one end on the bridge, the other inside. */
struct nsi_interface {
	char name[16]; /* inside */
	char bridge[16];
	bool lease;      /* addresses of the bridge's pools, too: added to the list when they are leased */
	bool no_gateway; /* said so: not even that of the pool */
	bool has_mac;
	uint8_t mac[6];
	unsigned mtu; /* bytes; 0: the kernel's */
	int n_addresses, n_gateways, n_routes;
	struct nsi_address addresses[NSI_MAX_ADDRESSES];
	struct nsi_address gateways[2]; /* of different families */
	struct nsi_route routes[NSI_MAX_ROUTES];
	struct nsi_bridge host; /* what the policy says of the bridge */
};

enum nsi_network_type {
	NSI_NET_VETH,     /* `interfaces`, and the loopback */
	NSI_NET_LOOPBACK, /* nothing else */
	NSI_NET_NONE,     /* not even that is up */
	NSI_NET_HOST,     /* no network namespace */
	NSI_NET_PASTA,    /* the name of interfaces[0], which pasta(1) makes; for ordinary users */
};

struct nsi_network {
	bool present, listed; /* listed: container.json has a list, not one object */
	enum nsi_network_type type;
	int n_interfaces;
	struct nsi_interface interfaces[NSI_MAX_INTERFACES];
	struct nsi_nameservers nameservers;
};

#endif
