/*
 * An sftp client whose container has no server. sshd drops a subsystem's standard error, so the reason is
 * said in the protocol (draft-ietf-secsh-filexfer-02): the version, and then a failure for the first request,
 * whose text clients print.
 */
#include "shell.h"

#include <endian.h>
#include <string.h>
#include <unistd.h>

enum { INIT = 1, VERSION = 2, STATUS = 101, FAILURE = 4, PROTOCOL = 3, MAX_PACKET = 256 * 1024 };

static bool read_full(unsigned char *buf, size_t n)
{
	for (ssize_t got; n > 0; buf += got, n -= (size_t)got) {
		got = read(0, buf, n);
		if (got <= 0)
			return false;
	}
	return true;
}

/* The packet's type, and the number of the request where it is one. */
static bool read_packet(unsigned char *type, unsigned char id[4])
{
	unsigned char head[5], skipped[512];
	uint32_t length;

	if (!read_full(head, sizeof(head)))
		return false;
	memcpy(&length, head, 4);
	length = be32toh(length);
	if (length < 5 || length > MAX_PACKET || !read_full(id, 4))
		return false;
	*type = head[4];
	for (length -= 5; length > 0;) {
		uint32_t n = length < sizeof(skipped) ? length : (uint32_t)sizeof(skipped);

		if (!read_full(skipped, n))
			return false;
		length -= n;
	}
	return true;
}

static size_t put32(unsigned char *to, uint32_t value)
{
	value = htobe32(value);
	memcpy(to, &value, 4);
	return 4;
}

void shell_refuse_sftp(const char *reason)
{
	unsigned char out[256], type, id[4];
	size_t len = strlen(reason), n = 4;

	if (len > 128 || !read_packet(&type, id) || type != INIT)
		return;
	out[n++] = VERSION;
	n += put32(out + n, PROTOCOL);
	put32(out, (uint32_t)n - 4);
	if (write(1, out, n) != (ssize_t)n || !read_packet(&type, id))
		return;
	n = 4;
	out[n++] = STATUS;
	memcpy(out + n, id, 4);
	n += 4;
	n += put32(out + n, FAILURE);
	n += put32(out + n, (uint32_t)len);
	for (size_t i = 0; i < len; i++)
		out[n++] = (unsigned char)reason[i];
	n += put32(out + n, 0); /* the language tag */
	put32(out, (uint32_t)n - 4);
	(void)!write(1, out, n);
}
