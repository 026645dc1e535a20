/* Network addresses in text. */
#ifndef NSINIT_CIDR_H
#define NSINIT_CIDR_H

#include <stdbool.h>
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
/* Whether `ip` lies in the network of `net`. */
bool nsi_address_in(const struct nsi_address *net, const struct nsi_address *ip);
/* A name that the kernel takes for an interface: 1 to 15 bytes, none of them '/', ':' or space. */
bool nsi_valid_ifname(const char *name);

#endif
