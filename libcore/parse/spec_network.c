/* The key "network": one object, or a list with an object for each interface. */
#include "../base/compat.h"
#include "../base/str.h"
#include "spec_keys.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* The one being read: the first that is not counted yet. */
static struct nsi_interface *current(struct nsi_reader *r)
{
	return &r->spec->network.interfaces[r->spec->network.n_interfaces];
}

static int read_type(struct nsi_reader *r, const char *key, json_object *value)
{
	static const char *const types[] = {"veth", "loopback", "none", "host", "pasta", NULL};
	const char *text = json_object_get_string(value);

	for (int i = 0; types[i]; i++) {
		if (strcmp(types[i], text) != 0)
			continue;
		if (i != NSI_NET_VETH)
			r->spec->network.type = (enum nsi_network_type)i;
		return 0;
	}
	return nsi_complain_unknown(r, key, -1, "type of network", text, types);
}

static int read_name(struct nsi_reader *r, const char *key, json_object *value)
{
	const char *text = json_object_get_string(value);

	if (!nsi_valid_ifname(text) || strcmp(text, "lo") == 0 || strchr(text, '%') ||
		!nsi_copy(current(r)->name, sizeof(current(r)->name), text))
		return nsi_complain(r, key, -1, "for example \"eth0\"",
			"\"name\" must be an interface name of 1 to 15 characters, not \"lo\"");
	return 0;
}

static int one_address(struct nsi_reader *r, const char *key, int index, const char *text)
{
	struct nsi_interface *i = current(r);

	if (strcmp(text, "auto") == 0) {
		i->lease = true;
		return 0;
	}
	if (i->n_addresses == NSI_MAX_ADDRESSES)
		return nsi_complain(r, key, index, NULL, "more than %d addresses", NSI_MAX_ADDRESSES);
	if (!nsi_parse_cidr(text, &i->addresses[i->n_addresses]))
		return nsi_complain(r, key, index,
			"for example \"172.17.0.100/16\"; \"auto\" takes one from the bridge's pool",
			"\"%s\" must be an address with a prefix length", key);
	i->n_addresses++;
	return 0;
}

static int read_address(struct nsi_reader *r, const char *key, json_object *value)
{
	return nsi_read_string_or_list(r, key, value, one_address);
}

static int one_gateway(struct nsi_reader *r, const char *key, int index, const char *text)
{
	struct nsi_interface *i = current(r);
	bool six = strcmp(key, "gateway6") == 0;
	struct nsi_address gateway;

	if (!*text) { /* as in the original, none */
		i->no_gateway = true;
		return 0;
	}
	if (!nsi_parse_ip(text, &gateway) || (six && gateway.family != AF_INET6))
		return nsi_complain(r, key, index,
			six ? "for example \"fd00::1\"" : "for example \"172.17.42.1\"",
			"\"%s\" must be an %saddress", key, six ? "IPv6 " : "");
	for (int n = 0; n < i->n_gateways; n++)
		if (i->gateways[n].family == gateway.family)
			return nsi_complain(r, key, index, "put others into \"routes\"",
				"a second gateway for %s", gateway.family == AF_INET ? "IPv4" : "IPv6");
	i->gateways[i->n_gateways++] = gateway;
	return 0;
}

static int read_gateway(struct nsi_reader *r, const char *key, json_object *value)
{
	return nsi_read_string_or_list(r, key, value, one_gateway);
}

static int read_bridge(struct nsi_reader *r, const char *key, json_object *value)
{
	const char *text = json_object_get_string(value);

	if (!nsi_valid_ifname(text) || !nsi_copy(current(r)->bridge, sizeof(current(r)->bridge), text))
		return nsi_complain(
			r, key, -1, NULL, "\"bridge\" must be an interface name of 1 to 15 characters");
	return 0;
}

static int read_mtu(struct nsi_reader *r, const char *key, json_object *value)
{
	int64_t mtu = json_object_get_int64(value);

	if (mtu != 0 && (mtu < 68 || mtu > 65535))
		return nsi_complain(r, key, -1, NULL, "\"mtu\" must be 0 or between 68 and 65535");
	current(r)->mtu = (unsigned)mtu;
	return 0;
}

static int read_mac(struct nsi_reader *r, const char *key, json_object *value)
{
	if (!nsi_parse_mac(json_object_get_string(value), current(r)->mac))
		return nsi_complain(r, key, -1, "for example \"02:00:00:00:00:01\"",
			"\"mac\" must be the hardware address of one interface");
	current(r)->has_mac = true;
	return 0;
}

/* ------------------------------------------------------------------ routes */

static struct nsi_route *current_route(struct nsi_reader *r)
{
	return &current(r)->routes[current(r)->n_routes];
}

static int read_destination(struct nsi_reader *r, const char *key, json_object *value)
{
	struct nsi_address *to = &current_route(r)->to;

	if (!nsi_parse_cidr(json_object_get_string(value), to))
		return nsi_complain(r, key, -1, "for example \"10.0.0.0/8\"",
			"\"destination\" must be a network with a prefix length");
	if (!nsi_is_network(to))
		return nsi_complain(
			r, key, -1, NULL, "\"destination\" has bits set behind its prefix: it is no network");
	return 0;
}

static int read_route_gateway(struct nsi_reader *r, const char *key, json_object *value)
{
	if (!nsi_parse_ip(json_object_get_string(value), &current_route(r)->gateway))
		return nsi_complain(
			r, key, -1, "for example \"172.17.42.1\"", "\"gateway\" must be an address");
	return 0;
}

static int read_metric(struct nsi_reader *r, const char *key, json_object *value)
{
	int64_t metric = json_object_get_int64(value);

	if (metric < 0 || metric > UINT32_MAX)
		return nsi_complain(r, key, -1, NULL, "\"metric\" must be between 0 and 4294967295");
	current_route(r)->metric = (uint32_t)metric;
	return 0;
}

static int one_route(struct nsi_reader *r, int index, json_object *entry)
{
	static const struct nsi_key keys[] = {
		{"destination", json_type_string, "a string", read_destination},
		{"gateway", json_type_string, "a string", read_route_gateway},
		{"metric", json_type_int, "a whole number", read_metric},
		{0},
	};
	int res = nsi_read_object(r, entry, "", keys);

	(void)index;
	current(r)->n_routes++;
	return res;
}

static int read_routes(struct nsi_reader *r, const char *key, json_object *value)
{
	if (json_object_array_length(value) > NSI_MAX_ROUTES)
		return nsi_complain(r, key, NSI_MAX_ROUTES, NULL, "more than %d routes", NSI_MAX_ROUTES);
	int res = nsi_read_objects(r, key, value, one_route);
	for (int i = 0; res == 0 && i < current(r)->n_routes; i++) {
		const struct nsi_route *route = &current(r)->routes[i];

		if (!route->to.family)
			res = nsi_complain(r, key, i, NULL, "the route lacks \"destination\"");
		else if (route->gateway.family && route->gateway.family != route->to.family)
			res = nsi_complain(
				r, key, i, NULL, "\"gateway\" and \"destination\" are of different families");
	}
	return res;
}

static int one_nameserver(struct nsi_reader *r, const char *key, int index, const char *text)
{
	struct nsi_nameservers *ns = &r->spec->network.nameservers;

	if (ns->n == NSI_MAX_NAMESERVERS)
		return nsi_complain(r, key, index, NULL, "more than %d name servers", NSI_MAX_NAMESERVERS);
	if (!nsi_parse_ip(text, &ns->list[ns->n]))
		return nsi_complain(r, key, index, "for example \"192.0.2.53\"",
			"\"nameservers\" must be a list of addresses");
	ns->n++;
	return 0;
}

static int read_nameservers(struct nsi_reader *r, const char *key, json_object *value)
{
	return nsi_read_strings(r, key, value, one_nameserver);
}

/* ------------------------------------------------------------------ the whole */

static const struct nsi_key network_keys[] = {
	{"type", json_type_string, "a string", read_type},
	{"name", json_type_string, "a string", read_name},
	{"ip", json_type_null, NULL, read_address},
	{"address", json_type_null, NULL, read_address},
	{"gateway", json_type_null, NULL, read_gateway},
	{"gateway6", json_type_null, NULL, read_gateway},
	{"routes", json_type_array, "a list of objects", read_routes},
	{"bridge", json_type_string, "a string", read_bridge},
	{"mac", json_type_string, "a string", read_mac},
	{"mtu", json_type_int, "a whole number", read_mtu},
	{"nameservers", json_type_array, "a list of strings", read_nameservers},
	{0},
};

static int one_interface(struct nsi_reader *r, int index, json_object *entry)
{
	int res = nsi_read_object(r, entry, index < 0 ? "network" : "", network_keys);
	if (res < 0)
		return res;
	if (json_object_object_get_ex(entry, "ip", NULL) && json_object_object_get_ex(entry, "address", NULL))
		return nsi_complain(r, "network", index, NULL,
			"\"ip\" and \"address\" are the same key; give one of them");
	if (!current(r)->name[0])
		snprintf(current(r)->name, sizeof(current(r)->name), "eth%d", index < 0 ? 0 : index);
	r->spec->network.n_interfaces++;
	return 0;
}

int nsi_read_network(struct nsi_reader *r, const char *key, json_object *value)
{
	struct nsi_network *net = &r->spec->network;

	net->present = true;
	if (json_object_is_type(value, json_type_object))
		return one_interface(r, -1, value);
	if (!json_object_is_type(value, json_type_array))
		return nsi_complain(r, key, -1, NULL, "\"network\" must be an object or a list of objects");
	net->listed = true;
	if (json_object_array_length(value) == 0)
		return nsi_complain(r, key, -1, "leave it out, or use { \"type\": \"loopback\" }",
			"\"network\" is an empty list");
	if (json_object_array_length(value) > NSI_MAX_INTERFACES)
		return nsi_complain(
			r, key, NSI_MAX_INTERFACES, NULL, "more than %d interfaces", NSI_MAX_INTERFACES);
	return nsi_read_objects(r, key, value, one_interface);
}

static bool is_link_local(const struct nsi_address *a)
{
	return a->family == AF_INET6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

/* What is leased is not known yet; the kernel will judge then. */
static bool can_reach(const struct nsi_interface *i, const struct nsi_address *gateway)
{
	bool found = i->lease || is_link_local(gateway);

	for (int n = 0; n < i->n_addresses; n++)
		found |= nsi_address_in(&i->addresses[n], gateway);
	return found;
}

static int check_interface(struct nsi_reader *r, int at, const struct nsi_interface *i, int n)
{
	if (!i->n_addresses && !i->lease)
		return nsi_complain(r, "network", at, "\"auto\" takes one from the bridge's pool",
			"\"network\" lacks \"ip\"");
	if (!i->bridge[0])
		return nsi_complain(r, "network", at, NULL, "\"network\" lacks \"bridge\"");
	for (int g = 0; g < i->n_gateways; g++)
		if (!can_reach(i, &i->gateways[g]))
			return nsi_complain(
				r, "network", at, NULL, "\"gateway\" is not in the network of \"ip\"");
	for (int other = 0; other < n; other++)
		if (strcmp(r->spec->network.interfaces[other].name, i->name) == 0)
			return nsi_complain(
				r, "network", at, NULL, "a second interface of the name \"%s\"", i->name);
	return 0;
}

/* Only a veth pair has anything to configure. */
static int check_plain(struct nsi_reader *r, const struct nsi_network *net)
{
	const struct nsi_interface *i = &net->interfaces[0];

	if (net->n_interfaces > 1)
		return nsi_complain(
			r, "network", 0, NULL, "several interfaces must all be of the type \"veth\"");
	if (i->bridge[0] || i->n_addresses || i->lease || i->n_gateways || i->n_routes || i->has_mac ||
		i->mtu)
		return nsi_complain(r, "network", net->listed ? 0 : -1, NULL,
			"this \"type\" takes no other key but \"nameservers\"%s",
			net->type == NSI_NET_PASTA ? " and \"name\"" : "");
	return 0;
}

int nsi_check_network(struct nsi_reader *r)
{
	struct nsi_network *net = &r->spec->network;
	int res = 0;

	if (!net->present)
		return 0;
	if (net->type != NSI_NET_VETH)
		res = check_plain(r, net);
	for (int i = 0; res == 0 && net->type == NSI_NET_VETH && i < net->n_interfaces; i++)
		res = check_interface(r, net->listed ? i : -1, &net->interfaces[i], i);
	if (res < 0)
		return res;
	if (net->type == NSI_NET_HOST)
		r->spec->namespaces &= ~(uint64_t)CLONE_NEWNET;
	else if (!(r->spec->namespaces & CLONE_NEWNET))
		return nsi_complain(r, "network", -1,
			"add \"NEWNET\" to \"namespaces\", or remove \"network\"",
			"\"network\" needs a network namespace");
	if (net->type != NSI_NET_VETH)
		net->n_interfaces = 0;
	return 0;
}
