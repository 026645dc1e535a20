#include "cast.h"

#include "../base/cleanup.h"
#include "../base/io.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Room for the marker that ends a recording which has become too long. */
enum { MARKER_BYTES = 128, LINE_BYTES = NSI_CAST_TEXT + 64 };

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

/* ------------------------------------------------------------------ text */

/* How many bytes the character that begins so has; 0: none begins so. */
static unsigned length_of(unsigned char first)
{
	return first < 0x80   ? 1
	       : first < 0xc2 ? 0
	       : first < 0xe0 ? 2
	       : first < 0xf0 ? 3
	       : first < 0xf5 ? 4
			      : 0;
}

/* Whether byte number `i` > 0 may follow: no longer form than needed, no surrogate, nothing above U+10FFFF.
 */
static bool may_follow(const unsigned char *c, unsigned i, unsigned char byte)
{
	unsigned char least = 0x80, most = 0xbf;

	if (i == 1) {
		least = c[0] == 0xe0 ? 0xa0 : c[0] == 0xf0 ? 0x90 : least;
		most = c[0] == 0xed ? 0x9f : c[0] == 0xf4 ? 0x8f : most;
	}
	return byte >= least && byte <= most;
}

/* U+FFFD */
static size_t put_replacement(char *out)
{
	out[0] = '\xef';
	out[1] = '\xbf';
	out[2] = '\xbd';
	return 3;
}

static size_t put_ascii(unsigned char c, char *out)
{
	if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
		*out = (char)c;
		return 1;
	}
	if (c == '"' || c == '\\')
		return (size_t)snprintf(out, sizeof("\\x"), "\\%c", c);
	return (size_t)snprintf(out, sizeof("\\u0000"), "\\u%04x", c);
}

static size_t put(struct nsi_utf8 *held, unsigned char byte, char *out)
{
	size_t n = 0;

	if (held->n > 0 && may_follow(held->part, held->n, byte)) {
		held->part[held->n++] = byte;
		if (held->n < length_of(held->part[0]))
			return 0;
		n = held->n;
		memcpy(out, held->part, n);
		held->n = 0;
		return n;
	}
	if (held->n > 0)
		n = put_replacement(out);
	held->n = 0;
	if (length_of(byte) == 0)
		return n + put_replacement(out + n);
	if (length_of(byte) == 1)
		return n + put_ascii(byte, out + n);
	held->part[held->n++] = byte;
	return n;
}

size_t nsi_cast_text(struct nsi_utf8 *held, const void *data, size_t len, bool last, char *out)
{
	const unsigned char *at = data;
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += put(held, at[i], out + n);
	if (last && held->n > 0) {
		n += put_replacement(out + n);
		held->n = 0;
	}
	out[n] = '\0';
	return n;
}

/* ------------------------------------------------------------------ lines */

/* Without the part of a line that may have been written. */
static int stop(struct nsi_cast *cast, int r)
{
	if (ftruncate(cast->fd, (off_t)cast->written) < 0)
		r = -errno;
	close(nsi_take_fd(&cast->fd));
	return r;
}

static int write_line(struct nsi_cast *cast, const char *line, size_t len)
{
	int r = nsi_write_full(cast->fd, line, len);

	if (r < 0)
		return stop(cast, r);
	cast->written += len;
	return 0;
}

static int event(struct nsi_cast *cast, char kind, const char *text)
{
	char line[LINE_BYTES];
	long long at = now() - cast->start;

	int n = snprintf(line, sizeof(line), "[%lld.%06lld, \"%c\", \"%s\"]\n", at / 1000000, at % 1000000,
		kind, text);
	if (!cast->limit || cast->written + (uint64_t)n + MARKER_BYTES <= cast->limit)
		return write_line(cast, line, (size_t)n);
	n = snprintf(line, sizeof(line),
		"[%lld.%06lld, \"m\", \"record_size is reached: the rest is missing\"]\n", at / 1000000,
		at % 1000000);
	int r = write_line(cast, line, (size_t)n);
	return r < 0 ? r : stop(cast, -EFBIG);
}

int nsi_cast_begin(struct nsi_cast *cast, int fd, uint64_t limit, const struct nsi_cast_head *head)
{
	char line[LINE_BYTES], title[NSI_CAST_TEXT];
	struct nsi_utf8 held = {0};

	*cast = (struct nsi_cast){.fd = fd, .limit = limit, .start = now()};
	nsi_cast_text(&held, head->title, strlen(head->title), true, title);
	int n = snprintf(line, sizeof(line),
		"{\"version\": 2, \"width\": %u, \"height\": %u, \"timestamp\": %lld, \"title\": \"%s\"}\n",
		head->columns, head->rows, (long long)time(NULL), title);
	return write_line(cast, line, (size_t)n);
}

int nsi_cast_data(struct nsi_cast *cast, char kind, const void *data, size_t len)
{
	char text[NSI_CAST_TEXT];

	if (cast->fd < 0)
		return 0;
	size_t n = nsi_cast_text(&cast->held[kind == 'i'], data, len, false, text);
	return n ? event(cast, kind, text) : 0;
}

int nsi_cast_resize(struct nsi_cast *cast, unsigned short columns, unsigned short rows)
{
	char text[24];

	if (cast->fd < 0)
		return 0;
	snprintf(text, sizeof(text), "%ux%u", columns, rows);
	return event(cast, 'r', text);
}

int nsi_cast_end(struct nsi_cast *cast)
{
	static const char kinds[] = "oi";
	char text[NSI_CAST_TEXT];
	int r = 0;

	for (int i = 0; i < 2 && r == 0 && cast->fd >= 0; i++)
		if (nsi_cast_text(&cast->held[i], "", 0, true, text))
			r = event(cast, kinds[i], text);
	if (cast->fd >= 0)
		close(nsi_take_fd(&cast->fd));
	return r;
}
