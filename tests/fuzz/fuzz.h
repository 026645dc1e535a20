/* What the fuzz targets share. Built with -fsanitize=fuzzer they explore; otherwise replay.c runs their
 * corpus. */
#ifndef NSINIT_FUZZ_H
#define NSINIT_FUZZ_H

#include "../../libcore/base/error.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that must hold whatever the input. */
static inline void fuzz_check(bool holds)
{
	if (!holds)
		abort();
}

/* The input as a C string of exactly its size, so that a read past the end is seen. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	fuzz_check(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

/* Cut `*text` off at its first `c`, and return what follows; NULL: there is none. */
static inline char *fuzz_cut(char *text, int c)
{
	char *at = text ? strchr(text, c) : NULL;

	if (at)
		*at++ = '\0';
	return at;
}

/* An input that is a sequence of bytes and short blocks. At its end there are zeroes. */
struct fuzz_input {
	const uint8_t *data;
	size_t left;
};

static inline unsigned fuzz_byte(struct fuzz_input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->data++;
}

static inline unsigned fuzz_word(struct fuzz_input *in)
{
	unsigned low = fuzz_byte(in);

	return low | fuzz_byte(in) << 8;
}

/* The next `len` bytes, or as many as there are, at the start of `block`. How many. */
static inline size_t fuzz_block(struct fuzz_input *in, void *block, size_t len)
{
	if (len > in->left)
		len = in->left;
	if (len)
		memcpy(block, in->data, len);
	in->data += len;
	in->left -= len;
	return len;
}

/* An error record as every caller may rely on: it says something, in printable and terminated texts. */
static inline void fuzz_check_error(int r, const struct nsi_error *err)
{
	const char *const texts[] = {err->reason, err->step, err->object, err->cause, err->hint, err->key};
	char text[2048];

	fuzz_check(r < 0 && err->code > 0 && err->code < 4096 && r == -err->code);
	fuzz_check(err->exit_status > 0 && err->exit_status < 256);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		for (const char *p = texts[i]; *p; p++)
			fuzz_check((unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f);
	nsi_error_text(err, text, sizeof(text));
}

enum { FUZZ_FDS = 64 };

/* Which of the first descriptors are open, bit by bit: the same before and after where none is left open, and
 * none closed that is somebody else's. In one system call, since it stands twice in every execution. */
static inline uint64_t fuzz_open_fds(void)
{
	struct pollfd fds[FUZZ_FDS];
	uint64_t open = 0;

	for (int fd = 0; fd < FUZZ_FDS; fd++)
		fds[fd] = (struct pollfd){.fd = fd};
	fuzz_check(poll(fds, FUZZ_FDS, 0) >= 0);
	for (int fd = 0; fd < FUZZ_FDS; fd++)
		open |= (uint64_t) !(fds[fd].revents & POLLNVAL) << fd;
	return open;
}

#endif
