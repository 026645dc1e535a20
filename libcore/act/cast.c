#include "cast.h"

#include "../base/cleanup.h"
#include "../base/io.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

/* Room for the marker that ends a recording which has become too long. */
enum { MARKER_BYTES = 128, LINE_BYTES = NSI_CAST_TEXT + 64 };

/* What is left free of the file system: a twentieth, but no more than that; small recordings may have half of
 * it. */
#define RESERVE_BYTES (UINT64_C(1) << 30)
#define SMALL_BYTES (UINT64_C(1) << 20)

/* How many bytes are written at most before free room is looked at again, and how long nothing is after a
 * failure. */
enum { LOOK_BYTES = 64 * 1024, RETRY_US = 1000000 };

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
	static const char digits[] = "0123456789abcdef";

	if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
		*out = (char)c;
		return 1;
	}
	if (c == '"' || c == '\\') {
		out[0] = '\\';
		out[1] = (char)c;
		return 2;
	}
	out[0] = '\\';
	out[1] = 'u';
	out[2] = out[3] = '0';
	out[4] = digits[c >> 4];
	out[5] = digits[c & 0xf];
	return 6;
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

static int look_for_room(struct nsi_cast *cast)
{
	struct statvfs fs;

	if (cast->written && cast->written < cast->look)
		return 0;
	if (fstatvfs(cast->fd, &fs) < 0)
		return -errno;
	uint64_t reserve = (uint64_t)fs.f_blocks * fs.f_frsize / 20;
	if (reserve > RESERVE_BYTES)
		reserve = RESERVE_BYTES;
	if (cast->written < SMALL_BYTES)
		reserve /= 2;
	uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (room < reserve)
		return -ENOSPC;
	/* Others write as well. */
	room = (room - reserve) / 4;
	cast->look = cast->written + (room < LOOK_BYTES ? room : LOOK_BYTES);
	return 0;
}

/* All of it or nothing. */
static int write_line(struct nsi_cast *cast, const char *line, int len)
{
	int r = nsi_write_full(cast->fd, line, (size_t)len);

	if (r == 0) {
		cast->written += (uint64_t)len;
		if (cast->used)
			__atomic_add_fetch(cast->used, (uint64_t)len, __ATOMIC_RELAXED);
	} else if (ftruncate(cast->fd, (off_t)cast->written) < 0) {
		r = -errno;
		close(nsi_take_fd(&cast->fd));
	}
	return r;
}

static int write_head(struct nsi_cast *cast)
{
	char line[sizeof(cast->head) * 6 + 128], title[NSI_CAST_TEXT];
	struct nsi_utf8 held = {0};

	nsi_cast_text(&held, cast->head.title, strlen(cast->head.title), true, title);
	return write_line(cast, line,
		snprintf(line, sizeof(line),
			"{\"version\": 2, \"width\": %u, \"height\": %u, \"timestamp\": %lld, \"title\": "
			"\"%s\"}\n",
			cast->head.columns, cast->head.rows, cast->begun, title));
}

static int write_event(struct nsi_cast *cast, char kind, const char *text)
{
	char line[LINE_BYTES];
	long long at = now() - cast->start;

	return write_line(cast, line,
		snprintf(line, sizeof(line), "[%lld.%06lld, \"%c\", \"%s\"]\n", at / 1000000, at % 1000000,
			kind, text));
}

static bool is_too_long(const struct nsi_cast *cast, size_t len)
{
	return cast->limit &&
	       __atomic_load_n(cast->used, __ATOMIC_RELAXED) + len + 2 * (uint64_t)MARKER_BYTES > cast->limit;
}

/* The head first, and what has to be said of what is missing. */
static int write_all(struct nsi_cast *cast, char kind, const char *text)
{
	char marker[MARKER_BYTES / 2];
	int r = look_for_room(cast);

	if (r == 0 && !cast->written)
		r = write_head(cast);
	if (r == 0 && cast->missing) {
		snprintf(marker, sizeof(marker), "no room: %llu bytes are missing",
			(unsigned long long)cast->missing);
		r = write_event(cast, 'm', marker);
		cast->missing = r < 0 ? cast->missing : 0;
	}
	return r < 0 || !text ? r : write_event(cast, kind, text);
}

static int event(struct nsi_cast *cast, char kind, const char *text, size_t len)
{
	if (cast->fd < 0)
		return 0;
	if (cast->retry && now() < cast->retry) {
		cast->missing += len;
		return 0;
	}
	const bool too_long = is_too_long(cast, strlen(text));
	int r = too_long ? write_all(cast, 'm', "record_size is reached: the rest is missing")
			 : write_all(cast, kind, text);
	cast->missing += r < 0 ? len : 0;
	cast->retry = r < 0 ? now() + RETRY_US : 0;
	if (!too_long)
		return r;
	if (cast->fd >= 0)
		close(nsi_take_fd(&cast->fd));
	return -EFBIG;
}

int nsi_cast_begin(struct nsi_cast *cast, int fd, const struct nsi_cast_head *head)
{
	cast->fd = fd;
	cast->start = now();
	cast->begun = (long long)time(NULL);
	cast->head = *head;
	return write_all(cast, 0, NULL);
}

int nsi_cast_data(struct nsi_cast *cast, char kind, const void *data, size_t len)
{
	char text[NSI_CAST_TEXT];

	if (cast->fd < 0)
		return 0;
	size_t n = nsi_cast_text(&cast->held[kind == 'i'], data, len, false, text);
	return n ? event(cast, kind, text, len) : 0;
}

int nsi_cast_resize(struct nsi_cast *cast, unsigned short columns, unsigned short rows)
{
	char text[24];

	snprintf(text, sizeof(text), "%ux%u", columns, rows);
	return event(cast, 'r', text, 0);
}

int nsi_cast_end(struct nsi_cast *cast)
{
	static const char kinds[] = "oi";
	char text[NSI_CAST_TEXT];
	int r = 0;

	for (int i = 0; i < 2 && r == 0 && cast->fd >= 0; i++)
		if (nsi_cast_text(&cast->held[i], "", 0, true, text))
			r = event(cast, kinds[i], text, 1);
	if (r == 0 && cast->fd >= 0 && cast->missing)
		r = write_all(cast, 0, NULL);
	if (cast->fd >= 0)
		close(nsi_take_fd(&cast->fd));
	return r;
}
