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

/* What the first line says. */
struct nsi_cast_head {
	unsigned short columns, rows;
	char title[320];
};

/* All zero to begin with, but for `limit` and `used`. */
struct nsi_cast {
	int fd;           /* -1: nothing is written (any more) */
	uint64_t limit;   /* bytes that *used may be; 0: any number */
	uint64_t *used;   /* by this recording and those of other processes that count here, too; or NULL */
	uint64_t missing; /* bytes that could not be written, and of which the file does not say so yet */
	uint64_t written; /* whole lines */
	uint64_t look;    /* when free room is looked at again */
	long long start;  /* microseconds of CLOCK_MONOTONIC */
	long long retry;  /* the same; 0: nothing has failed */
	long long begun;  /* seconds since 1970 */
	struct nsi_cast_head head;
	struct nsi_utf8 held[2];
};

/*
 * Begin in the empty file `fd`, which is the recording's from now on. What had to be missing before may be in
 * `missing` already. The same failures as below.
 */
int nsi_cast_begin(struct nsi_cast *cast, int fd, const struct nsi_cast_head *head);

/*
 * 'o': output, 'i': input, of at most NSI_CAST_CHUNK bytes. 0, or -errno. The file then ends with its last
 * whole line, and for a second all is missing, with 0; after that it is tried again, and where the file goes
 * on a marker says how many bytes are missing. -ENOSPC also where the file system is nearly full: a twentieth
 * of it, at most 1 GiB, stays free, and half of that for recordings of less than 1 MiB. -EFBIG: `limit` is
 * reached, which a marker says, and the recording has ended.
 */
int nsi_cast_data(struct nsi_cast *cast, char kind, const void *data, size_t len);
/* 'r'. */
int nsi_cast_resize(struct nsi_cast *cast, unsigned short columns, unsigned short rows);

/* The end, in order; closes the file. */
int nsi_cast_end(struct nsi_cast *cast);

#endif
