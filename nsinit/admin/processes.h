/* The processes of a container, as the host's /proc shows them. */
#ifndef NSINIT_PROCESSES_H
#define NSINIT_PROCESSES_H

#include "live.h"

struct process {
	pid_t pid, inside;         /* the number that it has on the host, and in the container */
	uid_t uid;                 /* the host's */
	long inside_uid;           /* -1: that has no number there */
	char state;                /* as in proc_pid_stat(5) */
	char tty[16];              /* "pts/0"; "": it has no terminal */
	uint64_t start;            /* clock ticks since boot */
	unsigned long long memory; /* bytes of it that are in memory */
	char command[4096];        /* of its own making, in one line; in brackets when it has no arguments */
};

/*
 * Visit each process of its pid namespace, and of those below; where it has none of its own, of its mount
 * namespace. How many there were, or a negative errno value.
 */
int processes_of(const struct live *live, void (*visit)(const struct process *p, void *data), void *data);

#endif
