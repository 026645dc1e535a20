/* The key "network". */
#include "../base/str.h"
#include "spec_keys.h"

static int read_address(struct nsi_reader *r, const char *key, json_object *value)
{
	if (r->spec->network.address.family)
		return nsi_complain(
			r, key, -1, NULL, "\"ip\" and \"address\" are the same key; give one of them");
	if (!nsi_parse_cidr(json_object_get_string(value), &r->spec->network.address))
		return nsi_complain(r, key, -1, "for example \"172.17.0.100/16\"",
			"\"%s\" must be an address with a prefix length", key);
	return 0;
}

static int read_gateway(struct nsi_reader *r, const char *key, json_object *value)
{
	const char *text = json_object_get_string(value);

	if (*text && !nsi_parse_ip(text, &r->spec->network.gateway))
		return nsi_complain(
			r, key, -1, "for example \"172.17.42.1\"", "\"gateway\" must be an address");
	return 0;
}

static int read_bridge(struct nsi_reader *r, const char *key, json_object *value)
{
	const char *text = json_object_get_string(value);

	if (!nsi_valid_ifname(text) ||
		!nsi_copy(r->spec->network.bridge, sizeof(r->spec->network.bridge), text))
		return nsi_complain(
			r, key, -1, NULL, "\"bridge\" must be an interface name of 1 to 15 characters");
	return 0;
}

static int read_mtu(struct nsi_reader *r, const char *key, json_object *value)
{
	int64_t mtu = json_object_get_int64(value);

	if (mtu != 0 && (mtu < 68 || mtu > 65535))
		return nsi_complain(r, key, -1, NULL, "\"mtu\" must be 0 or between 68 and 65535");
	r->spec->network.mtu = (unsigned)mtu;
	return 0;
}

static const struct nsi_key network_keys[] = {
	{"ip", json_type_string, "a string", read_address},
	{"address", json_type_string, "a string", read_address},
	{"gateway", json_type_string, "a string", read_gateway},
	{"bridge", json_type_string, "a string", read_bridge},
	{"mtu", json_type_int, "a whole number", read_mtu},
	{0},
};

int nsi_read_network(struct nsi_reader *r, const char *key, json_object *value)
{
	struct nsi_network *net = &r->spec->network;
	int res = nsi_read_object(r, value, key, network_keys);

	if (res < 0)
		return res;
	net->present = true;
	if (!net->address.family)
		return nsi_complain(r, key, -1, NULL, "\"network\" lacks \"ip\"");
	if (!net->bridge[0])
		return nsi_complain(r, key, -1, NULL, "\"network\" lacks \"bridge\"");
	if (net->gateway.family && !nsi_address_in(&net->address, &net->gateway))
		return nsi_complain(r, key, -1, NULL, "\"gateway\" is not in the network of \"ip\"");
	return 0;
}
