/* One netlink request and its acknowledgement. For the files that speak netlink. No memory is allocated. */
#ifndef NSINIT_REQUEST_H
#define NSINIT_REQUEST_H

#include "../base/error.h"

#include <libmnl/libmnl.h>
#include <stdint.h>

enum { NSI_REQUEST_BYTES = 4096 };

struct nsi_netlink {
	int sock;
	char why[128]; /* the kernel's own words on the last failure; may be empty */
};

struct nsi_net_request {
	struct nsi_netlink *nl;
	struct nlmsghdr *header;
	char buf[NSI_REQUEST_BYTES];
};

/* `protocol` is NETLINK_ROUTE or the like. The socket is the caller's to close: cleanup_netlink. */
int nsi_netlink_open(struct nsi_netlink *nl, int protocol, struct nsi_error *err);
void nsi_netlink_close(const struct nsi_netlink *nl);
#define cleanup_netlink __attribute__((cleanup(nsi_netlink_close)))

/* Begin a request; returns its family header, `extra` bytes of zeroes. */
void *nsi_request(
	struct nsi_net_request *q, struct nsi_netlink *nl, uint16_t type, uint16_t flags, size_t extra);

/* Send it, and wait for the acknowledgement. 0 or -errno. */
int nsi_request_finish(struct nsi_net_request *q);

/* Send `len` bytes of messages, and wait for `acks` acknowledgements, or the first that is an error. */
int nsi_netlink_talk(struct nsi_netlink *nl, const void *messages, size_t len, int acks);

/* Fail with -r and, where there are any, the kernel's words. */
int nsi_netlink_fail(const struct nsi_netlink *nl, int r, const char *step, const char *object,
	const char *hint, struct nsi_error *err);

#endif
