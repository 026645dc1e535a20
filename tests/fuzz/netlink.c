/*
 * What the kernel answers to netlink requests, were it somebody else. The first byte is how many
 * acknowledgements are waited for; then datagrams, each of two bytes of length and its contents.
 */
#include "fuzz.h"

#include "../../libcore/act/request.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct nsi_netlink nl = {.sock = -1};
	struct nsi_net_request q;
	struct nsi_error err = {0};
	int acks = (int)fuzz_byte(&in), pair[2];
	uint64_t before = fuzz_open_fds();
	uint8_t datagram[NSI_REQUEST_BYTES * 2 + 64];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return 0;
	while (in.left) {
		size_t len = fuzz_word(&in) % sizeof(datagram);

		len = fuzz_block(&in, datagram, len);
		if (send(pair[1], datagram, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
	}
	shutdown(pair[1], SHUT_WR);
	nl.sock = pair[0];
	nsi_request(&q, &nl, RTM_NEWLINK, 0, 16);
	int r = nsi_netlink_talk(&nl, q.buf, q.header->nlmsg_len, acks);
	fuzz_check(memchr(nl.why, 0, sizeof(nl.why)) != NULL);
	if (r < 0) {
		r = nsi_netlink_fail(&nl, r, "asking", "the kernel", NULL, &err);
		fuzz_check_error(r, &err);
	}
	close(pair[0]);
	close(pair[1]);
	fuzz_check(fuzz_open_fds() == before);
	return 0;
}
