/* Live containers, as their supervisors have written them down. */
#ifndef NSINIT_LIVE_H
#define NSINIT_LIVE_H

#include "../../libcore/whole/state.h"

#include "../console/emit.h"

#include <stdbool.h>

struct live {
	char id[NSI_ID_SIZE];
	struct nsi_state state;
	int supervisor; /* pidfd: as long as it lives, so does what `state` says */
};

/*
 * The container of a root directory. -ESRCH: it does not live, and *err says so. Root sees those that root's
 * processes have started, anybody else their own.
 */
int live_open(const char *dir, struct live *ret, struct nsi_error *err);
void live_close(struct live *live);

/* All of them, one after the other, each closed again after its call. How many there were. */
int live_each(void (*visit)(const struct live *live, void *data), void *data);

/* "id" and "rootfs". */
void live_emit(struct emit *e, const struct live *live);

/* Seconds since its process 1 started. */
long long live_age(const struct live *live);
/* The same for any process's start time. */
long long live_seconds_since(uint64_t start);

/* The memory that it uses, in bytes; its control group's count, or, then false in *ret_exact, the sum of what
 * its processes have in memory, shared pages counted in each. */
unsigned long long live_memory(const struct live *live, bool *ret_exact);

#endif
