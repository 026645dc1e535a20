#include "network.h"

#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/decide/network.h"
#include "../../libcore/parse/policy.h"

#include <stdio.h>

/* For `nsinit exec`. A host without a policy has no networks of ours; a broken one is not to be guessed at.
 */
int network_policy(struct nsi_network_policy *ret, struct nsi_error *err)
{
	struct nsi_policy *policy = NULL;
	int r = nsi_policy_load(NSINIT_POLICY, &policy, err);

	if (r == 0)
		*ret = policy->network;
	nsi_policy_free(policy);
	return r == -ENOENT ? 0 : r;
}

int network_prepare(const char *id, struct nsi_spec *spec, const struct nsi_login *login,
	struct nsi_leases *leases, struct nsi_error *err)
{
	struct nsi_network_policy policy = {0};
	int r = 0;

	if (geteuid() != 0)
		return 0; /* no bridge, and nothing to lease */
	if (login)
		policy = login->decision.network;
	else if (spec->network.n_interfaces)
		r = network_policy(&policy, err);
	if (r == 0)
		r = nsi_network_decide(
			spec, &policy, login != NULL, login && login->decision.dns == NSI_DNS_HOST, err);
	return r < 0 ? r : nsi_lease(id, &spec->network, leases, err);
}

static void print_interface(const struct nsi_interface *i)
{
	char to[NSI_CIDR_SIZE], via[NSI_CIDR_SIZE];

	printf("network:      %s on bridge %s", i->name, i->bridge);
	if (i->mtu)
		printf(", MTU %u", i->mtu);
	if (i->has_mac)
		printf(", MAC %02x:%02x:%02x:%02x:%02x:%02x", i->mac[0], i->mac[1], i->mac[2], i->mac[3],
			i->mac[4], i->mac[5]);
	putchar('\n');
	for (int n = 0; n < i->n_addresses; n++)
		printf("  address:    %s\n", nsi_cidr_text(&i->addresses[n], to));
	if (i->lease)
		puts("  address:    leased from the bridge's pool");
	for (int n = 0; n < i->n_gateways; n++)
		printf("  gateway:    %s\n", nsi_cidr_text(&i->gateways[n], via));
	for (int n = 0; n < i->n_routes; n++) {
		const struct nsi_route *route = &i->routes[n];

		printf("  route:      %s%s%s", nsi_cidr_text(&route->to, to),
			route->gateway.family ? " via " : "",
			route->gateway.family ? nsi_cidr_text(&route->gateway, via) : "");
		if (route->metric)
			printf(" metric %u", route->metric);
		putchar('\n');
	}
}

void print_network(const struct nsi_spec *spec)
{
	static const char *const types[] = {NULL, "loopback only", "none, not even loopback",
		"the host's; for logins only with limits: { host_network = true; } in the policy",
		"the outside by pasta(1); for nsinit exec of ordinary users"};
	char text[NSI_CIDR_SIZE];

	if (spec->network.type != NSI_NET_VETH)
		printf("network:      %s\n", types[spec->network.type]);
	else if (!spec->network.n_interfaces)
		printf("network:      %s\n",
			types[spec->namespaces & CLONE_NEWNET ? NSI_NET_LOOPBACK : NSI_NET_HOST]);
	for (int i = 0; i < spec->network.n_interfaces; i++)
		print_interface(&spec->network.interfaces[i]);
	for (int i = 0; i < spec->network.nameservers.n; i++)
		printf("name server:  %s\n", nsi_cidr_text(&spec->network.nameservers.list[i], text));
}
