/* Other programs of the host, for the administrator's commands: with a clean environment, none for a login.
 */
#ifndef NSINIT_PROGRAM_H
#define NSINIT_PROGRAM_H

#include "../libcore/base/error.h"

#include <sys/types.h>

struct program {
	pid_t pid;
	int in;  /* pipe to its standard input, or -1: it reads /dev/null */
	int out; /* pipe from its standard output, or -1: that is ours */
};

enum { PROGRAM_IN = 1, PROGRAM_OUT = 2, PROGRAM_ERR = 4 /* standard error, to the same pipe */ };

/*
 * Start argv[0], which is looked for in the host's usual directories. -ENOENT: it is not installed. `pipes`
 * is of PROGRAM_*. The signals that a terminal sends reach it as well as us.
 */
int program_start(char *const argv[], unsigned pipes, struct program *ret, struct nsi_error *err);

/* Close the pipes, wait, and return its exit status, 128+N for signal N. */
int program_wait(struct program *p);

/*
 * What it prints, on standard error too, up to 1 MiB; it is killed after `timeout_ms`. *ret_text is the
 * caller's to free.
 */
int program_read(char *const argv[], int timeout_ms, char **ret_text, int *ret_status, struct nsi_error *err);

#endif
