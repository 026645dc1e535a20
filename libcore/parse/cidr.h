/* Network addresses in text. */
#ifndef NSINIT_CIDR_H
#define NSINIT_CIDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nsi_address {
	int family;        /* AF_INET, AF_INET6, or 0: none */
	uint8_t bytes[16]; /* network order; 4 or 16 of them */
	uint8_t prefix;    /* bits */
};

/* "172.17.0.100/16" or "fd00::2/64". The prefix is required. */
bool nsi_parse_cidr(const char *text, struct nsi_address *ret);
/* An address without a prefix. */
bool nsi_parse_ip(const char *text, struct nsi_address *ret);
/* "10.77.0.1/24" or, with a full prefix, "10.77.0.1" in `buf`, which it returns. */
enum { NSI_CIDR_SIZE = 52 };
const char *nsi_cidr_text(const struct nsi_address *a, char buf[NSI_CIDR_SIZE]);
/* 4 or 16. */
size_t nsi_address_size(const struct nsi_address *a);
/* Whether no bit behind the prefix is set: a network, not an address in one. */
bool nsi_is_network(const struct nsi_address *a);
/* "02:00:00:00:00:01": the address of one interface, not of a group. */
bool nsi_parse_mac(const char *text, uint8_t ret[6]);
/* Whether `ip` lies in the network of `net`. */
bool nsi_address_in(const struct nsi_address *net, const struct nsi_address *ip);
/* A name that the kernel takes for an interface: 1 to 15 bytes, none of them '/', ':' or space. */
bool nsi_valid_ifname(const char *name);

#endif
