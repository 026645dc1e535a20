/* Inside the files of the server: server.c has the connections, server_life.c the lifetime, server_answer.c
 * the answers. */
#ifndef NSINIT_SERVER_PARTS_H
#define NSINIT_SERVER_PARTS_H

#include "../../libcore/whole/control.h"
#include "server.h"

struct session {
	struct server *server;
	struct session *next;
	int sock;
	int leader;       /* pidfd of the process whose session it is; -1: not counted yet */
	int child;        /* pidfd of the one that joined for it, or -1 */
	pid_t leader_pid; /* their numbers, also when they have ended; 0: none */
	pid_t child_pid;
	struct group *group; /* NULL: it has no cgroup of its own */
	bool door;           /* an unprivileged connection: nothing that it sends is read */
	bool login;          /* let in, as one of max_sessions */
	bool opens;          /* opened by PAM: the door is open as long as it lasts */
	bool recorded;       /* and shut all the same: nsinitd has the recorder */
	bool waits;          /* no session: it is to hear of the container's end */
	enum nsi_ask ask;    /* how it was counted, for whom, when, from where: for people */
	uid_t uid;
	long long since; /* ms of loop_now() */
	struct nsi_origin origin;
};

struct server {
	struct loop *loop;
	struct container *c;
	const struct nsi_decision *decision; /* NULL: the container of a command */
	struct groups *groups;               /* NULL: no limit is watched */
	struct session *sessions;
	int counted;
	bool paused;
	struct nsi_reply *reply; /* room for an answer, which takes no memory that could be lacking */
	struct loop_timer end;   /* the end of an empty container */
	struct loop_timer age;   /* max_age, and then the hangup's end */
	long long busy;          /* ms of loop_now() at which there was last a session or a process */
	long long hangup_end;    /* ms of loop_now(); 0: max_age is not reached */
	const char *why;
};

/* Take in who has connected to the control socket. */
void server_accept(struct server *server);
/* Forget a watched descriptor and close it, unless it is -1. */
void server_close(struct server *server, int *fd);
void session_end(struct session *s);

/* The number of sessions is another one: the container's end comes, or is put off. */
void server_counted_changed(struct server *server);
/* Begin to count the container's age. */
void server_age_start(struct server *server);

/*
 * Count the session, as that of `leader` and with what `q` says of it, before it is answered: its end is
 * noticed whatever happens next.
 */
bool session_count(struct session *s, const struct nsi_request *q, int leader);
/* Serve a request; a descriptor that is kept is taken from *pidfd. May end the session. */
void session_serve(struct session *s, const struct nsi_request *q, int *pidfd);
/* For who asked for it: the container's end, with its exit status, -1 for none. */
void session_tell_end(struct session *s, int status);
/* The answer to one that joins without privilege. */
void session_serve_shell(struct session *s, uid_t uid);
/* The leader ended without a word. */
void session_leader_ended(struct loop *loop, int fd, void *data);

#endif
