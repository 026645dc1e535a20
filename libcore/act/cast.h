/*
 * A recording: an asciicast of version 2, one JSON text a line. What a terminal shows may be anything; in the
 * file it is text of valid UTF-8, and each line is whole, however the recording ends.
 */
#ifndef NSINIT_CAST_H
#define NSINIT_CAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NSI_CAST_CHUNK = 4096, NSI_CAST_TEXT = 6 * (NSI_CAST_CHUNK + 4) + 1 };

/* The begin of a character whose end is still to come. All zero to begin with. */
struct nsi_utf8 {
	unsigned char part[4];
	unsigned n;
};

/*
 * At most NSI_CAST_CHUNK bytes as the inside of a JSON string, in `out` of NSI_CAST_TEXT bytes; its length.
 * What is no UTF-8 becomes U+FFFD; a character that is not complete is kept in *held for the next call, or
 * with `last` is none.
 */
size_t nsi_cast_text(struct nsi_utf8 *held, const void *data, size_t len, bool last, char *out);

struct nsi_cast {
	int fd;           /* -1: nothing is written (any more) */
	uint64_t limit;   /* bytes that the file may have; 0: any number */
	uint64_t written; /* whole lines */
	long long start;  /* microseconds of CLOCK_MONOTONIC */
	struct nsi_utf8 held[2];
};

/* What the first line says. */
struct nsi_cast_head {
	unsigned short columns, rows;
	const char *title;
};

/*
 * Begin in the empty file `fd`, which is the recording's from now on. The same failures as below.
 */
int nsi_cast_begin(struct nsi_cast *cast, int fd, uint64_t limit, const struct nsi_cast_head *head);

/*
 * 'o': output, 'i': input, of at most NSI_CAST_CHUNK bytes. 0, or -errno, with which the recording has ended
 * after its last whole line: -EFBIG where `limit` is reached, which a marker in the file says.
 */
int nsi_cast_data(struct nsi_cast *cast, char kind, const void *data, size_t len);
/* 'r'. */
int nsi_cast_resize(struct nsi_cast *cast, unsigned short columns, unsigned short rows);

/* The end, in order; closes the file. */
int nsi_cast_end(struct nsi_cast *cast);

#endif
