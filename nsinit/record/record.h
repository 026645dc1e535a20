/*
 * nsinit record: the recorder of one session. cmd_record.c is the process that keeps it, slots.c its
 * terminals, terminal.c the process that each of them has, hold.c what sshd has to wait for, files.c what is
 * written.
 *
 * If the keeper ends, so do the processes of the terminals, and a terminal whose process has ended is hung
 * up: nothing goes on that is not recorded.
 */
#ifndef NSINIT_RECORD_RECORD_H
#define NSINIT_RECORD_RECORD_H

#include "../../libcore/act/loop.h"
#include "../../libcore/whole/record.h"

enum { RECORD_SESSION = 17, RECORD_NAME = 48 };

/* Terminals that one session can have, one after the other: what is written down of them is one text. */
enum { RECORD_TERMINALS = 1000 };

/* Where it is written. */
struct files {
	int above;                    /* record_dir; -1: it could not be made */
	int dir;                      /* of the user; -1: neither could that */
	int about;                    /* what is known of the session; locked as long as it lasts; or -1 */
	bool unwritten;               /* it is not up to date */
	char session[RECORD_SESSION]; /* the session's id */
	char name[RECORD_NAME];       /* what the names of all its files begin with */
};

/* What a terminal's process tells the keeper, in memory that all have. */
struct tally {
	uint64_t output, input; /* bytes passed on */
	uint32_t asked, passed; /* see slots_ask() */
	int code;               /* an errno value: why something is missing in the recording; 0: nothing is */
	bool begun;             /* there is a file */
};

/* The memory that all processes of a session have. */
struct shared {
	uint64_t written; /* bytes of all its recordings */
	struct tally tallies[RECORD_TERMINALS];
};

/* A terminal that a program of the session has, or has had. */
struct terminal {
	long long from, to; /* seconds since 1970; 0: it has not ended */
	struct tally *tally;
};

struct recorder {
	struct loop *loop;
	struct nsi_record_order *order;
	int sock, leader, devpts, signals;
	pid_t leader_pid; /* as the host numbers it */
	long long from, to;
	struct files files;
	struct terminal terminals[RECORD_TERMINALS]; /* number 1 first */
	int n_terminals;
	struct shared *shared;
	struct slots *slots;
	struct {
		pid_t pid; /* sshd's process of the session; 0: it is not held */
		bool owes; /* a SIGCHLD is held back */
		bool lets; /* the next one is to go through */
		int ended; /* how many of its children had ended when the terminals were asked */
		struct loop_timer deadline; /* of what is owed */
	} held;
	int answers;                /* an eventfd: a terminal has answered */
	struct loop_timer deadline; /* of the end */
	bool ending;
};

/* ------------------------------------------------------------------ files.c */

/*
 * Make a name, and the user's directory. -EPERM and the like: it must not be used. What a full or read-only
 * disk does is told by files_lost(); what is missing then is tried again by those below.
 */
int files_open(struct files *files, const struct nsi_record_order *order, struct nsi_error *err);
/* Whether a failure is one that a session goes on with, unless its recording is required. */
bool files_lost(int r);
/* A new file for terminal `number`, locked as long as it is open. -errno. */
int files_terminal(struct recorder *r, int number);
/* Write down what is known of the session, in the place of what was known before. 0 or -errno. */
int files_session(struct recorder *r);

/* ------------------------------------------------------------------ terminal.c */

/*
 * Start the process that passes on and records what goes between `front`, the terminal of the front, and
 * `back`, the container's master. *ret_pidfd tells its end.
 */
int terminal_start(struct recorder *r, struct terminal *t, int front, int back, pid_t *ret_pid,
	int *ret_pidfd, struct nsi_error *err);

/* ------------------------------------------------------------------ slots.c */

/* Make the terminals that the order asks for, and tell who gave it. */
int slots_new(struct recorder *r, struct nsi_error *err);
/* Take notice of those that have been allocated. */
void slots_look(struct recorder *r);
/* How many are in use. */
int slots_busy(const struct recorder *r);
/* Have all processes end: in order, or at once. */
void slots_signal(const struct recorder *r, int sig);
/*
 * Ask whether everything that ended shells have written is passed on; those that run have nothing to wait
 * for. The answers come one by one.
 */
void slots_ask(struct recorder *r);
bool slots_passed_on(const struct recorder *r);

/* ------------------------------------------------------------------ hold.c */

/*
 * Have sshd's process wait where it has to, from now on, and end with us. Where the kernel allows no
 * ptrace(2) neither is so, and at worst the last lines are in the recording and not on the screen.
 */
int hold_begin(struct recorder *r, int pidfd, struct nsi_error *err);
/* A child of ours, or that process, has changed its state. */
void hold_look(struct recorder *r);
/* A terminal has passed on what it had, or has ended. */
void hold_check(struct recorder *r);

/* ------------------------------------------------------------------ cmd_record.c */

/* Tell the log, of one of its terminals where that is not 0. `priority` as of syslog(3). */
void recorder_say(const struct recorder *r, int priority, int terminal, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Write down how it stands; whatever cannot be written is logged. */
void recorder_note(struct recorder *r);
/* A terminal has ended: perhaps the last that was waited for. */
void recorder_freed(struct recorder *r);

#endif
