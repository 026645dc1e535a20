/* The policy's word on networks. */
#include "policy_read.h"

#include "../base/str.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static int read_bool(struct reader *r, const config_setting_t *group, const char *name, bool *value)
{
	const config_setting_t *s = config_setting_get_member(group, name);
	char what[64];

	if (!s)
		return 0;
	snprintf(what, sizeof(what), "\"%s\" must be true or false", name);
	if (config_setting_type(s) != CONFIG_TYPE_BOOL)
		return nsi_policy_fault(r, s, NULL, what);
	*value = config_setting_get_bool(s) != 0;
	return 0;
}

/* A string or entry `i` of a list of strings; NULL past the end. *ret_bad: it is something else. */
static const char *text_at(const config_setting_t *s, int i, bool *ret_bad)
{
	const char *text = NULL;
	bool one = config_setting_type(s) == CONFIG_TYPE_STRING;
	bool list = config_setting_is_aggregate(s) && !config_setting_is_group(s);

	*ret_bad = !one && !list;
	if (one)
		return i == 0 ? config_setting_get_string(s) : NULL;
	if (!list || i >= config_setting_length(s))
		return NULL;
	text = config_setting_get_string_elem(s, i);
	*ret_bad = text == NULL;
	return text;
}

/* At most one address of each family. */
static int read_addresses(
	struct reader *r, const config_setting_t *group, const char *name, struct nsi_address list[2], int *n)
{
	const config_setting_t *s = config_setting_get_member(group, name);
	const char *text;
	char what[128];
	bool bad = false;

	for (int i = 0; s && (text = text_at(s, i, &bad)); i++) {
		bad = i == 2 || !nsi_parse_cidr(text, &list[i]) ||
		      (i == 1 && list[0].family == list[1].family);
		if (bad)
			break;
		*n = i + 1;
	}
	if (!bad)
		return 0;
	snprintf(what, sizeof(what),
		"\"%s\" must be an IPv4 address with a prefix length, an IPv6 one, or a list of the two",
		name);
	return nsi_policy_fault(r, s, NULL, what);
}

static int read_nameservers(struct reader *r, const config_setting_t *group, struct nsi_nameservers *ns)
{
	const config_setting_t *s = config_setting_get_member(group, "nameservers");
	const char *text;
	bool bad = false;

	for (int i = 0; s && (text = text_at(s, i, &bad)); i++) {
		bad = i == NSI_MAX_NAMESERVERS || !nsi_parse_ip(text, &ns->list[i]);
		if (bad)
			break;
		ns->n = i + 1;
	}
	return bad ? nsi_policy_fault(r, s, NULL, "\"nameservers\" must be a list of up to 3 addresses") : 0;
}

/* Room for the network's own address, the broadcast address, the host's and one container's. */
static int check_pool(struct reader *r, const config_setting_t *s, const struct nsi_bridge *b,
	const struct nsi_address *pool)
{
	bool inside = false;

	if (!nsi_is_network(pool) || pool->prefix > nsi_address_size(pool) * 8 - 2)
		return nsi_policy_fault(r, s, "for example \"10.77.0.0/24\"",
			"\"pool\" must be a network of at least four addresses");
	for (int i = 0; i < b->n_addresses; i++)
		inside |= pool->prefix >= b->addresses[i].prefix && nsi_address_in(&b->addresses[i], pool);
	return inside ? 0 : nsi_policy_fault(r, s, NULL, "\"pool\" is not in the network of \"address\"");
}

static int check_network(struct reader *r, const config_setting_t *s, const struct nsi_bridge *b)
{
	const config_setting_t *pool = config_setting_get_member(s, "pool");

	for (int i = 0; i < b->n_pools; i++)
		if (check_pool(r, pool, b, &b->pools[i]) < 0)
			return -EINVAL;
	if (b->nat && !b->n_addresses)
		return nsi_policy_fault(r, s, NULL, "\"nat\" needs \"address\": that network is translated");
	return 0;
}

/* The name of a bridge that stands nowhere in `names` (n of them, `step` bytes apart). */
static int read_name(struct reader *r, const config_setting_t *s, const char *text, char out[16],
	const char *names, int n, size_t step)
{
	if (!text || !nsi_valid_ifname(text) || !nsi_copy(out, 16, text))
		return nsi_policy_fault(
			r, s, NULL, "a bridge must be an interface name of 1 to 15 characters");
	for (int i = 0; i < n; i++)
		if (strcmp(names + (size_t)i * step, text) == 0)
			return nsi_policy_fault(r, s, NULL, "the bridge stands here a second time");
	return 0;
}

static int read_network(struct reader *r, const config_setting_t *s, struct nsi_network_policy *network)
{
	static const char *const names[] = {
		"bridge", "create", "address", "nat", "isolate", "pool", "nameservers", NULL};
	struct nsi_bridge *b = &network->networks[network->n_networks];

	if (!config_setting_is_group(s))
		return nsi_policy_fault(r, s, NULL, "an entry of \"networks\" must be a group: { ... }");
	const config_setting_t *bridge = config_setting_get_member(s, "bridge");
	if (nsi_policy_names(r, s, names) < 0)
		return -EINVAL;
	if (!bridge)
		return nsi_policy_fault(r, s, NULL, "an entry of \"networks\" lacks \"bridge\"");
	if (read_name(r, bridge, config_setting_get_string(bridge), b->name, network->networks[0].name,
		    network->n_networks, sizeof(*b)) < 0 ||
		read_bool(r, s, "create", &b->create) < 0 || read_bool(r, s, "nat", &b->nat) < 0 ||
		read_bool(r, s, "isolate", &b->isolate) < 0 ||
		read_addresses(r, s, "address", b->addresses, &b->n_addresses) < 0 ||
		read_addresses(r, s, "pool", b->pools, &b->n_pools) < 0 ||
		read_nameservers(r, s, &b->nameservers) < 0)
		return -EINVAL;
	network->n_networks++;
	return check_network(r, s, b);
}

int nsi_policy_networks(struct reader *r, const config_setting_t *list, struct nsi_network_policy *network)
{
	if (config_setting_type(list) != CONFIG_TYPE_LIST)
		return nsi_policy_fault(r, list, NULL, "\"networks\" must be a list: ( { ... }, { ... } )");
	if (config_setting_length(list) > NSI_MAX_BRIDGES)
		return nsi_policy_fault(r, list, NULL, "more than 8 \"networks\"");
	for (int i = 0; i < config_setting_length(list); i++)
		if (read_network(r, config_setting_get_elem(list, (unsigned)i), network) < 0)
			return -EINVAL;
	return 0;
}

int nsi_policy_network_limits(
	struct reader *r, const config_setting_t *limits, struct nsi_network_policy *network)
{
	const config_setting_t *s = config_setting_get_member(limits, "bridges");
	const char *text;
	bool bad = false;

	if (read_bool(r, limits, "host_network", &network->host) < 0)
		return -EINVAL;
	if (!s)
		return 0;
	network->bridges_limited = true;
	network->n_bridges = 0;
	for (int i = 0; (text = text_at(s, i, &bad)); i++) {
		if (i == NSI_MAX_BRIDGES)
			return nsi_policy_fault(r, s, NULL, "more than 8 \"bridges\"");
		if (read_name(r, s, text, network->bridges[i], network->bridges[0], i, 16) < 0)
			return -EINVAL;
		network->n_bridges++;
	}
	return bad ? nsi_policy_fault(r, s, NULL, "\"bridges\" must be a list of names") : 0;
}
