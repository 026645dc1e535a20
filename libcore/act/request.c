#include "request.h"

#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int nsi_netlink_open(struct nsi_netlink *nl, int protocol, struct nsi_error *err)
{
	int on = 1;

	nl->why[0] = '\0';
	nl->sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (nl->sock < 0)
		return nsi_fail(err, errno, "opening", "a netlink socket", NULL);
	/* Without them the kernel only gives fewer words. */
	setsockopt(nl->sock, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(nl->sock, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	return 0;
}

void nsi_netlink_close(const struct nsi_netlink *nl)
{
	int saved = errno;

	if (nl->sock >= 0)
		close(nl->sock);
	errno = saved;
}

void *nsi_request(
	struct nsi_net_request *q, struct nsi_netlink *nl, uint16_t type, uint16_t flags, size_t extra)
{
	q->nl = nl;
	q->header = mnl_nlmsg_put_header(q->buf);
	q->header->nlmsg_type = type;
	q->header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	q->header->nlmsg_seq = 1;
	return mnl_nlmsg_put_extra_header(q->header, extra);
}

int nsi_request_finish(struct nsi_net_request *q)
{
	return nsi_netlink_talk(q->nl, q->buf, q->header->nlmsg_len, 1);
}

static int keep_words(const struct nlattr *attr, void *data)
{
	struct nsi_netlink *nl = data;

	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG && mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		snprintf(nl->why, sizeof(nl->why), "%s", mnl_attr_get_str(attr));
	return MNL_CB_OK;
}

/* How many acknowledgements a datagram holds, or the error of the first that is one. */
static int count_acks(struct nsi_netlink *nl, const char *reply, int len)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)reply;
	int acks = 0;

	/* The library compares lengths as signed numbers. */
	for (; mnl_nlmsg_ok(h, len) && h->nlmsg_len <= (unsigned)len; h = mnl_nlmsg_next(h, &len)) {
		if (h->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(h) < sizeof(struct nlmsgerr))
			return -EPROTO;
		int error = ((const struct nlmsgerr *)mnl_nlmsg_get_payload(h))->error;
		if (error < -NSI_MAX_ERRNO)
			return -EPROTO;
		if (error < 0) {
			/* They stand behind the request's header alone, as we have asked. */
			if ((h->nlmsg_flags & NLM_F_ACK_TLVS) && (h->nlmsg_flags & NLM_F_CAPPED))
				mnl_attr_parse(h, sizeof(struct nlmsgerr), keep_words, nl);
			return error;
		}
		acks++;
	}
	return acks ? acks : -EPROTO;
}

int nsi_netlink_talk(struct nsi_netlink *nl, const void *messages, size_t len, int acks)
{
	char reply[NSI_REQUEST_BYTES * 2] __attribute__((aligned(8)));
	ssize_t n;

	nl->why[0] = '\0';
	if (send(nl->sock, messages, len, 0) < 0)
		return -errno;
	while (acks > 0) {
		do
			n = recv(nl->sock, reply, sizeof(reply), 0);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return -errno;
		int r = count_acks(nl, reply, (int)n);
		if (r < 0)
			return r;
		acks -= r;
	}
	return 0;
}

int nsi_netlink_fail(const struct nsi_netlink *nl, int r, const char *step, const char *object,
	const char *hint, struct nsi_error *err)
{
	const char *cause = strerrordesc_np(-r);

	return nsi_failf(err, -r, step, object, hint, "%s%s%s%s", cause ? cause : "unknown error",
		nl->why[0] ? " (" : "", nl->why, nl->why[0] ? ")" : "");
}
