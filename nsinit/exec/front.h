/* The process in front of a command of `nsinit exec`: it has the command run, and stands for it. */
#ifndef NSINIT_FRONT_H
#define NSINIT_FRONT_H

#include "../../libcore/act/relay.h"
#include "../../libcore/process/exec.h"
#include "../../libcore/process/forward.h"

enum { EXEC_MAX_SET = 64 };

struct exec_options {
	const char *dir;   /* the root directory */
	const char *owner; /* or else the login user whose container it is; NULL: `dir` */
	const char *user, *workdir;
	char *set[EXEC_MAX_SET + 1]; /* -e */
	int n_set;
	int tty; /* -1: when input and output are terminals */
	bool detach, init;
	char **command;
};

struct front {
	struct loop *loop;
	struct relay *relay;
	struct nsi_process *process;
	struct nsi_forward forward;
	int signals; /* of nsi_block_signals() */
	bool tty;
	int started, parent_stderr; /* with -d, until the command runs; -1 */
};

/* Tell the parent that waits with -d, if there is one, and let go of it. */
void front_tell(struct front *f, int status);

/*
 * Spawn the container or join it, and stay until the command has ended. `rootfd` is the root directory, -1
 * with `owner`. Its exit status, or a negative errno value.
 */
int front_run(const struct exec_options *o, int rootfd, struct front *f, struct nsi_exec *exec,
	struct nsi_error *err);

#endif
