/*
 * What is said between a supervisor and those who use its container: one record each way over a SEQPACKET
 * socket. Both sides are root's processes of the same installation. A connection is a session: it is counted
 * from its first request until its leader process has ended or said NSI_ASK_CLOSE.
 */
#ifndef NSINIT_CONTROL_H
#define NSINIT_CONTROL_H

#include "../decide/plan.h"
#include "state.h"

enum { NSI_CONTROL_MAGIC = 0x6e736905, NSI_ENV_BYTES = 72 * 1024, NSI_TOLD_SESSIONS = 512 };

enum nsi_ask {
	NSI_ASK_LOGIN = 1, /* with a pidfd of the leader; answered with pid 1, devpts and a detached devpts */
	NSI_ASK_EXEC,      /* with a pidfd of the leader; answered with pid 1 and devpts */
	NSI_ASK_SHELL,     /* the same for one who joins without privilege, as the container's login user */
	NSI_ASK_CHILD,     /* with a pidfd of the process that joins for the leader; not answered */
	NSI_ASK_CLOSE,     /* the session ends in order; not answered */
	/* No session: */
	NSI_ASK_STATUS, /* answered with struct nsi_status */
	NSI_ASK_WAIT,   /* answered when the container has ended */
	NSI_ASK_PAUSE,  /* answered when the order to freeze is given */
	NSI_ASK_RESUME,
};

struct nsi_request {
	uint32_t magic;
	enum nsi_ask ask;
	uid_t uid;         /* of the login; with NSI_ASK_EXEC of who asks, or of the login that it is to be */
	uint32_t recorded; /* if not 0: with NSI_ASK_LOGIN nothing of it is to come in by the door, where
			      nobody records; with NSI_ASK_SHELL its leader is to have no second one */
	struct nsi_origin origin;
};

/* What is asked, and for whom: `leader` is a pidfd, -1 for the calling process. */
struct nsi_question {
	enum nsi_ask ask;
	uid_t uid;
	int leader;
	bool recorded;
	struct nsi_origin origin;
};

struct nsi_reply {
	uint32_t magic;
	int code; /* 0, or an errno value with `err` */
	struct nsi_error err;
	struct nsi_confinement confine;
	uint32_t cgroup;      /* which of the descriptors is the cgroup's directory; 0: there is no cgroup */
	int status;           /* of NSI_ASK_WAIT: exit status, as nsi_exit_status() has it; -1: it has none */
	char id[NSI_ID_SIZE]; /* of the container */
	uint32_t terminal; /* of nsinitd: which of the descriptors is the recorded terminal's master, and next
			      to it the other end; 0: there is none */
	uint32_t env_len;
	char env[NSI_ENV_BYTES]; /* NUL-terminated entries; sent up to env_len */
};

struct nsi_told_session {
	enum nsi_ask ask; /* NSI_ASK_LOGIN, _EXEC or _SHELL */
	pid_t leader;     /* as the host numbers it */
	uid_t uid;
	uint32_t age; /* seconds */
	struct nsi_origin origin;
};

/* What the supervisor alone knows of its container. A plain value, sent up to the last session told. */
struct nsi_status {
	uint32_t magic;
	bool paused;
	bool login;                  /* the container of logins: what follows is the policy's */
	int line;                    /* of its rule */
	int lifetime, idle, max_age; /* as in nsi_decision */
	int max_sessions;
	uint64_t namespaces; /* CLONE_NEW*: its own */
	struct nsi_resources resources, session_resources;
	char not_kept[256]; /* of both, for lack of a controller; "": none */
	uint32_t sessions;  /* open ones */
	uint32_t n;         /* of those told */
	struct nsi_told_session list[NSI_TOLD_SESSIONS];
};

#define NSI_STATUS_HEAD offsetof(struct nsi_status, list)

/*
 * The first record to a launched supervisor, with two descriptors: the rootfs directory, and the container's
 * lock, so that it stays locked until the container is known even when the one who started it is killed.
 */
struct nsi_launch_order {
	uint32_t magic;
	struct nsi_login who;
};

enum nsi_reply_fd { NSI_FD_PID1, NSI_FD_DEVPTS, NSI_FD_TERMINALS, NSI_REPLY_FDS };

#define NSI_REPLY_HEAD offsetof(struct nsi_reply, env)

/* Ask; the answer is in *ret (NSI_REPLY_FDS descriptors in fds; on failure none is left open). */
int nsi_control_ask(
	int sock, const struct nsi_question *q, struct nsi_reply *ret, int fds[], struct nsi_error *err);

/*
 * Ask the supervisor of a container, connecting to it for that; the answer has no descriptors. `timeout_ms`
 * may be -1: no deadline.
 */
int nsi_control_order(
	const char *id, enum nsi_ask ask, int timeout_ms, int *ret_status, struct nsi_error *err);
int nsi_control_status(const char *id, struct nsi_status *ret, struct nsi_error *err);

/*
 * What the answer says of which `n` bytes have come: 0, it can be used as it is; or its error, or one of
 * ours. -EREMOTEIO in the place of an error by which a supervisor would seem to be gone. `n` may be a
 * negative errno value.
 */
int nsi_reply_check(struct nsi_reply *reply, ssize_t n, struct nsi_error *err);

/* Receive such an answer where connecting is the question. */
int nsi_control_answer(int sock, int timeout_ms, struct nsi_reply *ret, int fds[], struct nsi_error *err);

/* The environment that an answer carries: a NULL-terminated list, the caller's to free, of strings that lie
 * in the answer. NULL: no memory. */
char **nsi_reply_environment(struct nsi_reply *reply);

/* Whether result `r` of connecting or asking says that no supervisor answers (and not that it refused). */
bool nsi_supervisor_gone(int r);

/* Tell, with a pidfd of the calling process where `with_pidfd`. 0 or -errno. */
int nsi_control_tell(int sock, enum nsi_ask ask, bool with_pidfd);

/* Connect to the container's supervisor. */
int nsi_control_connect(const char *id, int *ret_sock, struct nsi_error *err);

/* Answer a question with an error. */
void nsi_control_refuse(int sock, const struct nsi_error *why);

/* Listen in NSI_RUN_DIR/<id>, which is made. */
int nsi_control_listen(const char *id, int *ret_sock, struct nsi_error *err);

/*
 * The door for the login user's unprivileged processes, nsinit-shell: nothing is read there, connecting is
 * the request. `name` is a user's uid, or NSI_BROKER. nsi_door_close() removes it if it is still ours.
 */
#define NSI_BROKER "nsinitd"
int nsi_door_open(const char *name, uid_t uid, mode_t mode, int *ret_sock, struct nsi_error *err);
void nsi_door_close(const char *name, int sock);
/* -ENOENT, -ECONNREFUSED: nobody is there. */
int nsi_door_connect(const char *name, int *ret_sock, struct nsi_error *err);

/*
 * Who has connected: the kernel's word for it. *ret_pidfd is the process; it must be in our pid and user
 * namespaces, or -EPERM. Needs root.
 */
int nsi_door_peer(int sock, uid_t *ret_uid, int *ret_pidfd, struct nsi_error *err);

#endif
