/*
 * nsinit records: what recorders have left. cmd_records.c is the command, read.c reads, play.c shows a
 * recording again, prune.c removes.
 */
#ifndef NSINIT_RECORDS_H
#define NSINIT_RECORDS_H

#include "../../libcore/nsinit.h"

#include <stdint.h>
#include <stdio.h>

enum { RECORDS_TERMINALS = 256, RECORDS_NAME = 96 };

struct records_terminal {
	int number;
	char file[RECORDS_NAME]; /* "": nothing was written */
	char start[24], end[24]; /* "": it goes on, or its recorder was killed */
	unsigned long long output, input;
	char lost[96]; /* why it is not whole; "": it is */
};

struct records_session {
	char name[RECORDS_NAME]; /* what the names of its files begin with */
	char id[20], user[256], container[40], service[32], from[128], start[24], end[24];
	long long uid, rule, leader;
	bool live;                /* its recorder works */
	unsigned long long bytes; /* of its files */
	long long changed;        /* when one was, in seconds since 1970 */
	char *command;            /* words, each quoted where it has to be; NULL: not known */
	int n;
	struct records_terminal terminals[RECORDS_TERMINALS];
};

/*
 * Call `one` for every session below directory `dir`, the oldest first of each user; of one user where that
 * is not NULL. `userdir` is where its files are. Stops where `one` returns non-zero, and returns that.
 */
int records_each(const char *dir, const char *user,
	int (*one)(int userdir, const struct records_session *s, void *data), void *data,
	struct nsi_error *err);

/* An event of a recording: *ret_text is the caller's to free. 0: there is none any more; -1: it is none. */
int records_event(FILE *f, double *ret_time, char *ret_kind, char **ret_text, size_t *ret_len);
/* The first line of one. False: it is no recording. */
bool records_head(FILE *f, int *ret_columns, int *ret_rows);

/* Show it on standard output: `speed` times as fast, 0 for at once, no pause longer than `idle` seconds. */
int records_play(FILE *f, double speed, double idle);

/* Remove what is older than so many days, and the oldest above `total` bytes; 0: no such limit. */
int records_prune(const char *dir, int days, uint64_t total, bool dry, struct nsi_error *err);

#endif
