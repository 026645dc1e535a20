#include "cidr.h"

#include "../base/str.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <net/if.h>
#include <string.h>

bool nsi_parse_ip(const char *text, struct nsi_address *ret)
{
	struct nsi_address a = {0};

	a.family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(a.family, text, a.bytes) != 1)
		return false;
	a.prefix = a.family == AF_INET ? 32 : 128;
	*ret = a;
	return true;
}

bool nsi_parse_cidr(const char *text, struct nsi_address *ret)
{
	const char *slash = strchr(text, '/');
	char host[INET6_ADDRSTRLEN];
	unsigned long long prefix;
	struct nsi_address a;

	if (!slash || (size_t)(slash - text) >= sizeof(host))
		return false;
	memcpy(host, text, (size_t)(slash - text));
	host[slash - text] = '\0';
	if (!nsi_parse_ip(host, &a) || !nsi_parse_number(slash + 1, 0, a.prefix, &prefix))
		return false;
	a.prefix = (uint8_t)prefix;
	*ret = a;
	return true;
}

bool nsi_address_in(const struct nsi_address *net, const struct nsi_address *ip)
{
	if (net->family != ip->family)
		return false;
	for (unsigned bit = 0; bit < net->prefix; bit++)
		if ((net->bytes[bit / 8] ^ ip->bytes[bit / 8]) & (0x80 >> (bit % 8)))
			return false;
	return true;
}

bool nsi_valid_ifname(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= IFNAMSIZ || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (; *name; name++)
		if (*name == '/' || *name == ':' || isspace((unsigned char)*name) ||
			!isprint((unsigned char)*name))
			return false;
	return true;
}
