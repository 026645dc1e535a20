/* What is to run in a container, and what a new process tells its parent. */
#ifndef NSINIT_EXEC_H
#define NSINIT_EXEC_H

#include "../decide/plan.h"

struct nsi_exec {
	char *const *argv; /* NULL-terminated */
	char *const *env;  /* NULL-terminated; all of it */
	int stdio[3];      /* become 0, 1 and 2; -1: the new terminal */
	bool tty;          /* make a new terminal of the container, its controlling terminal */
	int terminal;      /* > 0, with `tty`: it is made already, and its master is somebody else's */
	mode_t umask;
	const char *cwd; /* change there if that is possible; NULL: stay in the working directory */
	int image;       /* >= 0: run this (sealed) file instead of looking argv[0] up */
	int cgroup;      /* > 0: directory of the cgroup to start in */
};

/* A program of ours beside the container; all zero: none. */
struct nsi_pasta {
	pid_t pid;
	int pidfd;
};

/* A process of a container, seen from its parent. Descriptors are -1 where there is none. */
struct nsi_process {
	pid_t pid;
	int pidfd;
	int sync;               /* to the process, until it has executed */
	int pty;                /* master of its terminal */
	bool recorded;          /* or of one that a recorder passes on to it */
	int devpts;             /* pid 1 only: the container's devpts */
	struct nsi_pasta pasta; /* pid 1 only: that its network hangs on */
};

/* Records on the sync socket. Go is a word of its own: end of file means that the other side has failed. */
enum nsi_sync {
	NSI_SYNC_START = 1,
	NSI_SYNC_TREE,
	NSI_SYNC_STARTED,
	NSI_SYNC_READY,
	NSI_SYNC_GO,
	NSI_SYNC_ERROR
};

struct nsi_sync_record {
	enum nsi_sync kind;
	struct nsi_error err; /* ERROR */
};

/* Wait on p->sync until a process that joins is ready, and fill in the rest of *p. */
int nsi_process_ready(struct nsi_process *p, struct nsi_error *err);

/* Release a process from spawn or join and wait until it has executed its program, or failed to. -ETIMEDOUT:
 * neither, for 10 seconds. */
int nsi_process_go(struct nsi_process *p, struct nsi_error *err);

/* Kill and reap it, and close its descriptors. */
void nsi_process_discard(struct nsi_process *p);

#endif
