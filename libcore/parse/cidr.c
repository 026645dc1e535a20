#include "cidr.h"

#include "../base/str.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <net/if.h>
#include <stdio.h>
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

size_t nsi_address_size(const struct nsi_address *a)
{
	return a->family == AF_INET ? 4 : 16;
}

const char *nsi_cidr_text(const struct nsi_address *a, char buf[NSI_CIDR_SIZE])
{
	char host[INET6_ADDRSTRLEN] = "?";

	inet_ntop(a->family, a->bytes, host, sizeof(host));
	if (a->prefix == nsi_address_size(a) * 8)
		snprintf(buf, NSI_CIDR_SIZE, "%s", host);
	else
		snprintf(buf, NSI_CIDR_SIZE, "%s/%u", host, a->prefix);
	return buf;
}

bool nsi_is_network(const struct nsi_address *a)
{
	for (unsigned bit = a->prefix; bit < nsi_address_size(a) * 8; bit++)
		if (a->bytes[bit / 8] & (0x80 >> (bit % 8)))
			return false;
	return true;
}

static unsigned hex_digit(char c)
{
	return (unsigned)(isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10);
}

bool nsi_parse_mac(const char *text, uint8_t ret[6])
{
	unsigned sum = 0;

	if (strlen(text) != 17)
		return false;
	for (int i = 0; i < 17; i++)
		if (i % 3 == 2 ? text[i] != ':' : !isxdigit((unsigned char)text[i]))
			return false;
	for (size_t i = 0; i < 6; i++) {
		ret[i] = (uint8_t)(hex_digit(text[i * 3]) << 4 | hex_digit(text[i * 3 + 1]));
		sum |= ret[i];
	}
	return sum != 0 && !(ret[0] & 1);
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
