/*
 * The recorder of a session: a process of the host's root beside the container, `nsinit record`, one for each
 * session that the policy says is recorded. What it is told it is told once, by one of root's processes, over
 * a socket that only the two have.
 */
#ifndef NSINIT_RECORD_H
#define NSINIT_RECORD_H

#include "control.h"

enum { NSI_RECORD_MAGIC = 0x6e736972, NSI_RECORD_COMMAND = 4096 };

/* How the session gets its terminals. */
enum nsi_record_way {
	NSI_RECORD_NOTHING, /* it has none */
	NSI_RECORD_FRONT,   /* it allocates them itself, front.h */
	NSI_RECORD_PAIR,    /* one is made for it */
};

/* The first record, with pidfds of the session's leader and, but for NSI_RECORD_NOTHING, the container's
 * devpts. */
struct nsi_record_order {
	uint32_t magic;
	enum nsi_record_way way;
	struct nsi_recording recording;
	char user[256];
	uid_t uid;
	uid_t root; /* uid 0 inside, as the host has it */
	int line;   /* of the rule */
	char container[NSI_ID_SIZE];
	struct nsi_origin origin;
	uint32_t command_len;             /* 0: not known */
	char command[NSI_RECORD_COMMAND]; /* NUL-terminated words */
};

enum nsi_record_word {
	NSI_RECORD_READY =
		1,          /* with NSI_RECORD_FRONT the detached front; _PAIR: its master and the terminal */
	NSI_RECORD_MOUNTED, /* to the recorder: the view and the devpts of nsi_front_mount() */
	NSI_RECORD_JOINS,   /* to the recorder: a pidfd of sshd's process, which is about to join */
	NSI_RECORD_CLOSE,   /* to the recorder: the session is over */
};

struct nsi_record_said {
	uint32_t magic;
	enum nsi_record_word word;
	int code; /* 0, or an errno value with `err` */
	struct nsi_error err;
};

/* What is known of a session that is to be recorded. `reply` is the supervisor's. */
void nsi_record_order(struct nsi_record_order *ret, const struct nsi_user *user,
	const struct nsi_decision *decision, const struct nsi_origin *origin, const struct nsi_reply *reply);
/* Its command: the words with which process `pid` was started. */
void nsi_record_command_of(struct nsi_record_order *order, pid_t pid);

/*
 * Start the recorder. `leader` is a pidfd, -1 for the calling process; `ret_fds` has room for NSI_MAX_FDS.
 * The connection may be closed at any time: the recorder ends with the leader. Reason "record" on failure,
 * with which the session must not go on. Needs root.
 */
int nsi_record_start(const struct nsi_record_order *order, int leader, int devpts, int *ret_sock,
	int ret_fds[], struct nsi_error *err);

/*
 * All of that for a login whose command is `command` (NULL: not known) and which, with `terminal`, is given
 * one: ret_pair[0] is its master, ret_pair[1] the other end. `ret_pair` has room for NSI_MAX_FDS.
 */
int nsi_record_pair(const struct nsi_login *who, const struct nsi_origin *origin, char *const *command,
	bool terminal, int leader, const struct nsi_reply *reply, int devpts, int ret_pair[],
	struct nsi_error *err);

/* With NSI_RECORD_FRONT, in a mount namespace of our own: have the terminals recorded from now on. */
int nsi_record_terminals(int sock, int front, int terminals, struct nsi_error *err);

/* In the process that joins for the leader, while it is root still: it is to wait for its terminals' output.
 */
int nsi_record_join(int sock, struct nsi_error *err);

/* Tell that the session is over. */
void nsi_record_close(int sock);

/* For the recorder: say a word with descriptors, or `why` it will not be. */
int nsi_record_say(
	int sock, enum nsi_record_word word, const struct nsi_error *why, const int *fds, int n_fds);
/* Hear that word, or fail: -ECONNRESET where the other side is gone. `fds` as of nsi_receive(). */
int nsi_record_hear(int sock, enum nsi_record_word word, int fds[], struct nsi_error *err);

#endif
