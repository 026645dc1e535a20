#include "server.h"

#include "../libcore/base/cleanup.h"
#include "../libcore/base/compat.h"
#include "../libcore/base/io.h"
#include "../libcore/process/join.h"
#include "../libcore/whole/control.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* Sessions by the door take two of this process's descriptors each. */
enum { MAX_DOOR_SESSIONS = 128, DOOR_BATCH = 16 };

struct session {
	struct server *server;
	struct session *next;
	int sock;
	int leader; /* pidfd of the process whose session it is; -1: not counted yet */
	int child;  /* pidfd of the one that joined for it, or -1 */
	bool door;  /* an unprivileged connection: nothing that it sends is read */
	bool login; /* opened by PAM, or by nsinitd, for a user who was let in */
};

struct server {
	struct loop *loop;
	struct container *c;
	const int *lifetime;
	struct session *sessions;
	int counted;
};

static void accept_waiting(struct loop *loop, int fd, void *data);

/* ------------------------------------------------------------------ lifetime */

void server_end(struct server *server)
{
	loop_stop(server->loop);
}

static void grace_is_over(struct loop *loop, int fd, void *data)
{
	struct server *server = data;

	(void)fd;
	/* Whoever has connected meanwhile keeps the container: their request is only not read yet. */
	accept_waiting(loop, server->c->listen, server);
	for (struct session *s = server->sessions; s; s = s->next)
		if (s->leader < 0)
			return loop_timer(loop, 50, grace_is_over, server);
	if (server->counted == 0)
		server_end(server);
}

static void counted_changed(struct server *server)
{
	if (!server->lifetime || *server->lifetime == NSI_LIFETIME_FOREVER)
		return;
	if (server->counted > 0)
		loop_timer(server->loop, -1, NULL, NULL);
	else
		loop_timer(server->loop, *server->lifetime * 1000LL, grace_is_over, server);
}

/* ------------------------------------------------------------------ sessions */

static void close_watched(struct loop *loop, int *fd)
{
	if (*fd < 0)
		return;
	loop_forget(loop, *fd);
	close(nsi_take_fd(fd));
}

static void session_end(struct session *s)
{
	struct server *server = s->server;
	struct session **at = &server->sessions;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	bool counted = s->leader >= 0;
	close_watched(server->loop, &s->sock);
	close_watched(server->loop, &s->leader);
	close_watched(server->loop, &s->child);
	free(s);
	server->counted -= counted;
	counted_changed(server);
}

/* The leader ended without a word: what serves its connection must not go on without it. */
static void leader_ended(struct loop *loop, int fd, void *data)
{
	struct session *s = data;

	(void)loop, (void)fd;
	if (s->child >= 0)
		nsi_pidfd_send_signal(s->child, SIGKILL);
	session_end(s);
}

static void answer(struct session *s, bool as_login_user, const int *fds, int n_fds)
{
	const struct nsi_plan *plan = s->server->c->plan;
	struct nsi_reply *reply = calloc(1, sizeof(*reply));

	if (!reply)
		return;
	reply->magic = NSI_CONTROL_MAGIC;
	reply->confine = plan->confine;
	if (as_login_user) {
		reply->confine.uid = plan->login.uid;
		reply->confine.gid = plan->login.gid;
		reply->confine.keep_groups = true;
		strcpy(reply->confine.working_dir, "/");
	}
	for (size_t i = 0; plan->environment[i]; i++) {
		size_t len = strlen(plan->environment[i]) + 1;

		if (reply->env_len + len > NSI_ENV_BYTES)
			break;
		memcpy(reply->env + reply->env_len, plan->environment[i], len);
		reply->env_len += (uint32_t)len;
	}
	nsi_send(s->sock, reply, NSI_REPLY_HEAD + reply->env_len, fds, n_fds);
	free(reply);
}

static int check_login(const struct server *server, uid_t uid, struct nsi_error *err)
{
	const struct nsi_confinement *confine = &server->c->plan->confine;

	if (!server->lifetime)
		nsi_failf(err, EBUSY, "opening a session in", server->c->id, "end that command first",
			"the container is in use by nsinit exec, which does not confine it for logins");
	else if ((confine->namespaces & CLONE_NEWUSER) &&
		 !nsi_idmap_same(confine->ids.uids, confine->ids.n_uids, uid))
		nsi_failf(err, EPERM, "opening a session in", server->c->id,
			"give each user a rootfs directory",
			"the running container is another user's: uid %u has no place in its user namespace",
			(unsigned)uid);
	else
		return 0;
	return nsi_error_reason(err, "session");
}

/* Count the session first, so that its end is noticed whatever happens next. */
static bool count(struct session *s, int leader)
{
	if (s->leader >= 0 || leader < 0)
		return false;
	s->leader = leader;
	s->server->counted++;
	counted_changed(s->server);
	return loop_watch(s->server->loop, leader, POLLIN, leader_ended, s);
}

static void serve_login(struct session *s, uid_t uid)
{
	const struct nsi_process *pid1 = &s->server->c->pid1;
	cleanup_fd int terminals = -1;
	struct nsi_error err = {0};
	int r = check_login(s->server, uid, &err);

	if (r == 0)
		r = nsi_borrow_terminals(pid1->pidfd, pid1->devpts, &terminals, &err);
	if (r < 0)
		nsi_control_refuse(s->sock, &err);
	else
		answer(s, false, (int[]){pid1->pidfd, pid1->devpts, terminals}, NSI_REPLY_FDS);
	s->login = r == 0;
}

static void serve_shell(struct session *s, uid_t uid)
{
	const struct nsi_process *pid1 = &s->server->c->pid1;
	struct nsi_error err = {0};
	int r = check_login(s->server, uid, &err);

	if (r == 0 && !(s->server->c->plan->confine.namespaces & CLONE_NEWUSER)) {
		nsi_failf(&err, EPERM, "opening a session in", s->server->c->id,
			"remove userns = \"off\" from the rule",
			"without a user namespace nsinit-shell has no right to enter");
		r = nsi_error_reason(&err, "session");
	}
	if (r < 0)
		nsi_control_refuse(s->sock, &err);
	else
		answer(s, true, (int[]){pid1->pidfd, pid1->devpts}, 2);
}

static void serve(struct session *s, const struct nsi_request *q, int *pidfd)
{
	const struct nsi_process *pid1 = &s->server->c->pid1;

	switch (q->ask) {
	case NSI_ASK_LOGIN:
		if (count(s, nsi_take_fd(pidfd)))
			serve_login(s, q->uid);
		break;
	case NSI_ASK_EXEC:
		if (count(s, nsi_take_fd(pidfd)))
			answer(s, false, (int[]){pid1->pidfd, pid1->devpts}, 2);
		break;
	case NSI_ASK_SHELL:
		if (count(s, nsi_take_fd(pidfd)))
			serve_shell(s, q->uid);
		break;
	case NSI_ASK_CHILD:
		if (s->child < 0)
			s->child = nsi_take_fd(pidfd);
		break;
	case NSI_ASK_CLOSE:
		session_end(s);
		break;
	}
}

static void read_request(struct loop *loop, int fd, void *data)
{
	struct session *s = data;
	struct nsi_request q;
	int fds[NSI_MAX_FDS] = {-1, -1, -1, -1, -1, -1, -1, -1};
	ssize_t n = s->door ? 0 : nsi_receive(fd, &q, sizeof(q), fds, 0);

	if (n == (ssize_t)sizeof(q) && q.magic == NSI_CONTROL_MAGIC) {
		serve(s, &q, &fds[0]);
	} else if (s->leader < 0) {
		session_end(s); /* never counted: nothing depends on the connection */
	} else if (n <= 0) {
		/* The leader may have handed it on and closed it: its end is seen by its pidfd. */
		loop_forget(loop, fd);
		close(nsi_take_fd(&s->sock));
	}
	for (int i = 0; i < NSI_MAX_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

struct session *server_adopt(struct server *server, int sock)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s) {
		close(sock);
		return NULL;
	}
	*s = (struct session){
		.server = server, .next = server->sessions, .sock = sock, .leader = -1, .child = -1};
	server->sessions = s;
	if (loop_watch(server->loop, sock, POLLIN, read_request, s))
		return s;
	session_end(s);
	return NULL;
}

static void accept_waiting(struct loop *loop, int fd, void *data)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int sock;

	(void)loop;
	while ((sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.uid != geteuid())
			close(sock);
		else
			server_adopt(data, sock);
	}
}

static int check_door(
	const struct server *server, int sock, uid_t *ret_uid, int *ret_leader, struct nsi_error *err)
{
	bool open = false;
	int n = 0;

	for (const struct session *s = server->sessions; s; s = s->next) {
		open |= s->login;
		n += s->door;
	}
	if (n >= MAX_DOOR_SESSIONS)
		return nsi_failf(
			err, EBUSY, "opening a session in", server->c->id, NULL, "too many are open");
	if (!open)
		return nsi_failf(
			err, EAGAIN, "opening a session in", server->c->id, NULL, "no login session is open");
	return nsi_door_peer(sock, ret_uid, ret_leader, err);
}

/*
 * The login user's own processes come in by the door, but only while a session is open that somebody with
 * authority has opened: the policy may have changed since the container was started. Whoever is refused
 * leaves nothing here, however long they hold on to the connection.
 */
static void answer_door(struct server *server, int sock)
{
	struct nsi_error err = {0};
	int leader;
	uid_t uid;

	if (check_door(server, sock, &uid, &leader, &err) < 0) {
		nsi_control_refuse(sock, &err);
		close(sock);
		return;
	}
	struct session *s = server_adopt(server, sock);
	if (!s) {
		close(leader);
		return;
	}
	s->door = true;
	if (count(s, leader))
		serve_shell(s, uid);
}

static void accept_door(struct loop *loop, int fd, void *data)
{
	int sock;

	(void)loop;
	/* A few at a time: who connects without end must not keep the rest of the loop from its turn. */
	for (int i = 0; i < DOOR_BATCH && (sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0; i++)
		answer_door(data, sock);
}

/* ------------------------------------------------------------------ the whole */

static void pid1_ended(struct loop *loop, int fd, void *data)
{
	loop_forget(loop, fd);
	server_end(data);
}

struct server *server_new(struct loop *loop, struct container *c, const int *lifetime)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server)
		return NULL;
	*server = (struct server){.loop = loop, .c = c, .lifetime = lifetime};
	if (!loop_watch(loop, c->listen, POLLIN, accept_waiting, server) ||
		(c->door >= 0 && !loop_watch(loop, c->door, POLLIN, accept_door, server)) ||
		!loop_watch(loop, c->pid1.pidfd, POLLIN, pid1_ended, server)) {
		free(server);
		return NULL;
	}
	return server;
}

void server_free(struct server *server)
{
	if (!server)
		return;
	server->lifetime = NULL;
	while (server->sessions) {
		struct session *s = server->sessions;

		/* sshd's process for the connection is no member of the pid namespace: it would stay behind.
		 */
		if (s->child >= 0)
			nsi_pidfd_send_signal(s->child, SIGKILL);
		session_end(s);
	}
	free(server);
}
