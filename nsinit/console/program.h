/* Other programs of the host, for the administrator's commands: with a clean environment, none for a login.
 */
#ifndef NSINIT_PROGRAM_H
#define NSINIT_PROGRAM_H

#include "../../libcore/base/error.h"

#include <stdbool.h>
#include <sys/types.h>

struct program {
	pid_t pid;
	int in;  /* pipe to its standard input, or -1 */
	int out; /* pipe from its standard output, or -1: that is ours */
};

struct program_how {
	bool write;   /* a pipe to its standard input */
	bool read;    /* a pipe from its standard output */
	bool errors;  /* its standard error goes the same way */
	int input;    /* > 0: its standard input, where there is no pipe; otherwise it is /dev/null */
	int workshop; /* > 0: it finds of the host this directory alone, as /work, and may change owners and
			 modes */
};

/*
 * Start argv[0], which is looked for in the host's usual directories. -ENOENT: it is not installed. The
 * signals that a terminal sends reach it as well as us.
 */
int program_start(
	char *const argv[], const struct program_how *how, struct program *ret, struct nsi_error *err);

/* Close the pipes, wait, and return its exit status, 128+N for signal N. */
int program_wait(struct program *p);

/*
 * What it prints, on standard error too, up to 1 MiB; it is killed after `timeout_ms`. *ret_text is the
 * caller's to free.
 */
int program_read(char *const argv[], int timeout_ms, char **ret_text, int *ret_status, struct nsi_error *err);

#endif
