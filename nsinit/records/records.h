/*
 * nsinit records: what recorders have left. cmd_records.c is the command, read.c reads, play.c shows a
 * recording again, prune.c removes.
 */
#ifndef NSINIT_RECORDS_H
#define NSINIT_RECORDS_H

#include "../../libcore/nsinit.h"

#include <stdint.h>
#include <stdio.h>

enum { RECORDS_NAME = 64, RECORDS_ID = 17 };

struct records_terminal {
	int number;
	char file[RECORDS_NAME]; /* "": nothing was written */
	char start[24], end[24]; /* "": not known */
	unsigned long long output, input;
	char lost[96]; /* why it is not whole; "": it is */
};

struct records_session {
	char name[RECORDS_NAME]; /* what the names of its files begin with, and nobody else's */
	char id[RECORDS_ID], container[40], service[32], from[128], start[24], end[24];
	const char *user; /* whose directory it is in */
	long long uid, rule, leader;
	bool live;                          /* its recorder works */
	bool damaged;                       /* but for recordings nothing is known of it */
	unsigned long long bytes;           /* that its files take on the disk */
	long long changed;                  /* when one was, in seconds since 1970 */
	char *command;                      /* its words; NULL: not known */
	struct records_terminal *terminals; /* by their numbers */
	size_t n;
	char **files; /* the names of all; what is known of it behind the recordings */
	size_t n_files;
};

/*
 * Call `one` for every session below directory `dir`, the oldest first of each user; of one user where that
 * is not NULL. `userdir` is where its files are. Stops where `one` returns non-zero, and returns that.
 */
int records_each(const char *dir, const char *user,
	int (*one)(int userdir, struct records_session *s, void *data), void *data, struct nsi_error *err);

/* Free what belongs to it: `one` may take *s, `user` and `files` excepted, and leave all zero there. */
void records_forget(struct records_session *s);

/* An event of a recording: *ret_text is the caller's to free. 0: there is none any more; -1: it is none. */
int records_event(FILE *f, double *ret_time, char *ret_kind, char **ret_text, size_t *ret_len);
/* The first line of one. False: it is no recording. */
bool records_head(FILE *f, int *ret_columns, int *ret_rows);

struct records_way {
	double speed; /* so many times as fast; 0: at once */
	double idle;  /* no pause is longer, in seconds */
	bool raw;     /* all that was shown, orders to the terminal of any kind among it */
};

/* Show it on standard output. */
int records_play(FILE *f, const struct records_way *way);

/*
 * Remove what is older than so many days; and until it is no more than `total` bytes on the disk, the oldest
 * of whoever has most. 0: no such limit.
 */
int records_prune(const char *dir, int days, uint64_t total, bool dry, struct nsi_error *err);

#endif
