/* Inside the supervisor: its sessions, which server.c begins and ends, and which answers.c lets in. */
#ifndef NSINIT_SESSIONS_H
#define NSINIT_SESSIONS_H

#include "../libcore/whole/control.h"
#include "server.h"

struct session {
	struct server *server;
	struct session *next;
	int sock;
	int leader; /* pidfd of the process whose session it is; -1: not counted yet */
	int child;  /* pidfd of the one that joined for it, or -1 */
	bool door;  /* an unprivileged connection: nothing that it sends is read */
	bool login; /* let in, as one of max_sessions */
	bool opens; /* opened by PAM: the door is open as long as it lasts */
};

struct server {
	struct loop *loop;
	struct container *c;
	const struct nsi_decision *decision; /* NULL: the container of a command */
	struct session *sessions;
	int counted;
	struct loop_timer end; /* the end of an empty container */
	struct loop_timer age; /* max_age, and then the hangup's end */
	long long busy;        /* ms of loop_now() at which there was last a session or a process */
	long long hangup_end;  /* ms of loop_now(); 0: max_age is not reached */
	const char *why;
};

/*
 * Answer the question of a session that is counted already: with the way in, or with why not. `uid` is the
 * one that the question is for; serve_exec() takes 0 for whoever has the container.
 */
void serve_login(struct session *s, uid_t uid);
void serve_shell(struct session *s, uid_t uid);
void serve_exec(struct session *s, uid_t uid);

/* How many sessions there are, to whoever asks. */
void tell_status(const struct session *s);

#endif
