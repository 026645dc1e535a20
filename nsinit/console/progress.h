/* How far something is, on a terminal that is standard error; nothing where it is none. */
#ifndef NSINIT_PROGRESS_H
#define NSINIT_PROGRESS_H

#include <stdbool.h>

struct progress {
	const char *what;
	unsigned long long total, done;
	long long shown; /* ms of loop_now() */
	bool on;
};

void progress_start(struct progress *p, const char *what, unsigned long long total);
void progress_step(struct progress *p, unsigned long long more);
void progress_end(struct progress *p);

#endif
