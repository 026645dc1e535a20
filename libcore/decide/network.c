#include "network.h"

#include "../base/compat.h"

#include <stdio.h>
#include <string.h>

static const struct nsi_bridge *find(const struct nsi_network_policy *policy, const char *bridge)
{
	for (int i = 0; i < policy->n_networks; i++)
		if (strcmp(policy->networks[i].name, bridge) == 0)
			return &policy->networks[i];
	return NULL;
}

static bool may_name(const struct nsi_network_policy *policy, const char *bridge)
{
	if (!policy->bridges_limited)
		return policy->n_networks == 0 || find(policy, bridge) != NULL;
	for (int i = 0; i < policy->n_bridges; i++)
		if (strcmp(policy->bridges[i], bridge) == 0)
			return true;
	return false;
}

static int refuse(const struct nsi_spec *spec, const struct nsi_network_policy *policy, struct nsi_error *err)
{
	if (!(spec->namespaces & CLONE_NEWNET) && !policy->host)
		return nsi_failf(err, EACCES, "allowing", "the host's network",
			"or set limits: { host_network = true; } in the rule",
			"the policy's rule does not; add \"NEWNET\" to \"namespaces\" and use another "
			"\"type\" of network than \"host\"");
	for (int i = 0; i < spec->network.n_interfaces; i++)
		if (!may_name(policy, spec->network.interfaces[i].bridge))
			return nsi_failf(err, EACCES, "allowing bridge", spec->network.interfaces[i].bridge,
				NULL, "it is not in the policy's %s",
				policy->bridges_limited ? "\"bridges\" for this rule" : "\"networks\"");
	return 0;
}

/* The first gateway of a family is the default route's: a second one would only be refused by the kernel. */
static bool has_gateway(const struct nsi_network *net, int family)
{
	for (int i = 0; i < net->n_interfaces; i++)
		for (int g = 0; g < net->interfaces[i].n_gateways; g++)
			if (net->interfaces[i].gateways[g].family == family)
				return true;
	return false;
}

static bool has_pool(const struct nsi_bridge *b, int family)
{
	for (int i = 0; i < b->n_pools; i++)
		if (b->pools[i].family == family)
			return true;
	return false;
}

static int decide_lease(struct nsi_network *net, struct nsi_interface *i, struct nsi_error *err)
{
	if (!i->host.n_pools)
		return nsi_failf(err, EINVAL, "leasing an address for", i->name,
			"give the bridge a \"pool\" in the policy's \"networks\", or a fixed \"ip\"",
			"bridge %s has no pool", i->bridge);
	for (int a = 0; a < i->host.n_addresses && !i->no_gateway; a++) {
		struct nsi_address gateway = i->host.addresses[a];

		gateway.prefix = (uint8_t)(nsi_address_size(&gateway) * 8);
		if (has_pool(&i->host, gateway.family) && !has_gateway(net, gateway.family))
			i->gateways[i->n_gateways++] = gateway;
	}
	return 0;
}

int nsi_network_decide(struct nsi_spec *spec, const struct nsi_network_policy *policy, bool login,
	bool own_dns, struct nsi_error *err)
{
	struct nsi_network *net = &spec->network;
	int r = login ? refuse(spec, policy, err) : 0;

	if (r == 0 && net->type == NSI_NET_PASTA)
		r = nsi_failf(err, EINVAL, "planning", "the network",
			"root has bridges: see \"networks\" in nsinit.conf(5)",
			"the \"type\" \"pasta\" is for containers that an ordinary user starts");
	for (int n = 0; r == 0 && n < net->n_interfaces; n++) {
		struct nsi_interface *i = &net->interfaces[n];
		const struct nsi_bridge *b = find(policy, i->bridge);

		if (b)
			i->host = *b;
		if (i->lease)
			r = decide_lease(net, i, err);
		if (!own_dns && !net->nameservers.n)
			net->nameservers = i->host.nameservers;
	}
	return r < 0 ? nsi_error_reason(err, "network") : 0;
}

bool nsi_resolv_conf(const struct nsi_nameservers *ns, char *buf, size_t size)
{
	char text[NSI_CIDR_SIZE];
	size_t used = 0;

	for (int i = 0; i < ns->n && used < size; i++)
		used += (size_t)snprintf(
			buf + used, size - used, "nameserver %s\n", nsi_cidr_text(&ns->list[i], text));
	return ns->n > 0;
}
