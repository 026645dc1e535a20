#include "server.h"

#include "../libcore/act/cgroup.h"
#include "../libcore/act/limits.h"
#include "../libcore/base/cleanup.h"
#include "../libcore/base/compat.h"
#include "../libcore/base/io.h"
#include "../libcore/base/str.h"
#include "../libcore/process/join.h"
#include "../libcore/whole/control.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

enum { HANGUP_MS = 5000 }; /* between the hangup at max_age and the end */
/* Sessions by the door take two of this process's descriptors each. */
enum { MAX_DOOR_SESSIONS = 128, DOOR_BATCH = 16 };

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

static void accept_waiting(struct loop *loop, int fd, void *data);
static void session_end(struct session *s);

/* ------------------------------------------------------------------ lifetime */

static void close_watched(struct loop *loop, int *fd)
{
	if (*fd < 0)
		return;
	loop_forget(loop, *fd);
	close(nsi_take_fd(fd));
}

void server_end(struct server *server, const char *why)
{
	if (!server->why)
		server->why = why;
	loop_stop(server->loop);
}

const char *server_why(const struct server *server)
{
	return server->why;
}

static void grace_is_over(struct loop *loop, int fd, void *data)
{
	struct server *server = data;

	(void)fd;
	/* Whoever has connected meanwhile keeps the container: their request is only not read yet. */
	accept_waiting(loop, server->c->listen, server);
	for (struct session *s = server->sessions; s; s = s->next)
		if (s->leader < 0)
			return loop_timer_set(loop, &server->end, 50, grace_is_over, server);
	if (server->counted == 0)
		server_end(server, "no session is left");
}

/*
 * With "linger", as long as there is no session. Nothing tells of the last process's end: its parent may be
 * pid 1, or outside, where sshd was. So this looks again and again, the less often the longer `idle` is.
 */
static void look_inside(struct loop *loop, int fd, void *data)
{
	struct server *server = data;
	long long now = loop_now(), idle = server->decision->idle * 1000LL, next = idle / 10;

	(void)fd;
	if (container_signal(server->c, 0) != 0)
		server->busy = now;
	long long left = server->busy + idle - now;
	if (left <= 0)
		return grace_is_over(loop, -1, server);
	next = next < 200 ? 200 : next > 5000 ? 5000 : next;
	loop_timer_set(loop, &server->end, left < next ? left : next, look_inside, server);
}

static void counted_changed(struct server *server)
{
	if (!server->decision || server->hangup_end)
		return;
	if (server->counted > 0)
		return loop_timer_cancel(server->loop, &server->end);
	int lifetime = server->decision->lifetime;
	server->busy = loop_now();
	if (lifetime == NSI_LIFETIME_LINGER)
		loop_timer_set(server->loop, &server->end, 0, look_inside, server);
	else if (lifetime != NSI_LIFETIME_FOREVER)
		loop_timer_set(server->loop, &server->end, lifetime * 1000LL, grace_is_over, server);
}

static void await_hangup(struct loop *loop, int fd, void *data)
{
	struct server *server = data;

	(void)fd;
	if ((server->counted == 0 && container_signal(server->c, 0) == 0) || loop_now() >= server->hangup_end)
		server_end(server, "max_age is reached");
	else
		loop_timer_set(loop, &server->age, 100, await_hangup, server);
}

/*
 * max_age: hang up what runs, so that shells and editors can save, and end soon whatever is left. Without the
 * control socket a new login waits for this container's end and has the next one started.
 */
static void hang_up(struct loop *loop, int fd, void *data)
{
	struct server *server = data;
	struct session *s = server->sessions;

	server->hangup_end = loop_now() + HANGUP_MS;
	loop_timer_cancel(loop, &server->end);
	close_watched(loop, &server->c->listen);
	if (server->c->door >= 0) {
		loop_forget(loop, server->c->door);
		nsi_door_close(server->c->door_name, nsi_take_fd(&server->c->door));
	}
	while (s) {
		struct session *next = s->next;

		if (s->leader < 0)
			session_end(s);
		s = next;
	}
	container_signal(server->c, SIGHUP);
	await_hangup(loop, fd, server);
}

/* ------------------------------------------------------------------ sessions */

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
	int all[NSI_MAX_FDS];
	struct nsi_reply *reply = calloc(1, sizeof(*reply));

	if (!reply)
		return;
	reply->magic = NSI_CONTROL_MAGIC;
	reply->confine = plan->confine;
	memcpy(all, fds, (size_t)n_fds * sizeof(int));
	/* To root's processes alone: whoever has the directory can move any process there. */
	if (!as_login_user && s->server->c->cgroup.dir >= 0) {
		reply->cgroup = (uint32_t)n_fds;
		all[n_fds++] = s->server->c->cgroup.dir;
	}
	if (as_login_user) {
		reply->confine.uid = plan->login.uid;
		reply->confine.gid = plan->login.gid;
		reply->confine.keep_groups = true;
		reply->confine.ambient = 0;
		nsi_copy_array(reply->confine.working_dir, "/");
	}
	for (size_t i = 0; plan->environment[i]; i++) {
		size_t len = strlen(plan->environment[i]) + 1;

		if (reply->env_len + len > NSI_ENV_BYTES)
			break;
		memcpy(reply->env + reply->env_len, plan->environment[i], len);
		reply->env_len += (uint32_t)len;
	}
	nsi_send(s->sock, reply, NSI_REPLY_HEAD + reply->env_len, all, n_fds);
	free(reply);
}

static int logins(const struct server *server)
{
	int n = 0;

	for (const struct session *s = server->sessions; s; s = s->next)
		n += s->login;
	return n;
}

static int check_login(const struct server *server, uid_t uid, struct nsi_error *err)
{
	const struct nsi_confinement *confine = &server->c->plan->confine;

	if (!server->decision)
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

static int check_number(const struct server *server, struct nsi_error *err)
{
	int max = server->decision ? server->decision->max_sessions : 0;

	if (max <= 0 || logins(server) < max)
		return 0;
	nsi_failf(
		err, EUSERS, "opening a session in", server->c->id, NULL, "max_sessions = %d are open", max);
	return nsi_error_reason(err, "sessions");
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
		r = check_number(s->server, &err);
	if (r == 0)
		r = nsi_borrow_terminals(pid1->pidfd, pid1->devpts, &terminals, &err);
	if (r < 0)
		nsi_control_refuse(s->sock, &err);
	else
		answer(s, false, (int[]){pid1->pidfd, pid1->devpts, terminals}, NSI_REPLY_FDS);
	s->login = s->opens = r == 0;
}

/* By the door it belongs to a login that is counted already. */
static void serve_shell(struct session *s, uid_t uid)
{
	const struct nsi_process *pid1 = &s->server->c->pid1;
	struct nsi_error err = {0};
	int r = check_login(s->server, uid, &err);

	if (r == 0 && !s->door)
		r = check_number(s->server, &err);
	if (r == 0 && !(s->server->c->plan->confine.namespaces & CLONE_NEWUSER)) {
		nsi_failf(&err, EPERM, "opening a session in", s->server->c->id,
			"remove userns = \"off\" from the rule",
			"without a user namespace nsinit-shell has no right to enter");
		r = nsi_error_reason(&err, "session");
	}
	/* It has no right to move itself. */
	if (r == 0 && s->server->c->cgroup.dir >= 0)
		r = nsi_cgroup_move_process(s->server->c->cgroup.dir, s->leader, &err);
	if (r == 0) /* it has no right to do so itself; what it starts inherits it */
		r = nsi_set_oom_score(s->leader, &s->server->c->plan->confine.limits, &err);
	if (r < 0)
		nsi_control_refuse(s->sock, &err);
	else
		answer(s, true, (int[]){pid1->pidfd, pid1->devpts}, 2);
	s->login = r == 0 && !s->door;
}

/* Root's: into this container whoever it belongs to, or into that of a user. */
static void serve_exec(struct session *s, uid_t uid)
{
	const struct nsi_process *pid1 = &s->server->c->pid1;
	struct nsi_error err = {0};

	if (uid != 0 && check_login(s->server, uid, &err) < 0)
		nsi_control_refuse(s->sock, &err);
	else
		answer(s, false, (int[]){pid1->pidfd, pid1->devpts}, 2);
}

static void tell_status(const struct session *s)
{
	struct nsi_reply *reply = calloc(1, sizeof(*reply));

	if (!reply)
		return;
	reply->magic = NSI_CONTROL_MAGIC;
	reply->sessions = (uint32_t)s->server->counted;
	nsi_send(s->sock, reply, NSI_REPLY_HEAD, NULL, 0);
	free(reply);
}

static void serve(struct session *s, const struct nsi_request *q, int *pidfd)
{
	switch (q->ask) {
	case NSI_ASK_LOGIN:
		if (count(s, nsi_take_fd(pidfd)))
			serve_login(s, q->uid);
		break;
	case NSI_ASK_EXEC:
		if (count(s, nsi_take_fd(pidfd)))
			serve_exec(s, q->uid);
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
	case NSI_ASK_STATUS:
		tell_status(s);
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
		open |= s->opens;
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
	uid_t uid = (uid_t)-1;
	int leader = -1;

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
	server_end(data, "pid 1 has ended");
}

struct server *server_new(struct loop *loop, struct container *c, const struct nsi_decision *decision)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server)
		return NULL;
	*server = (struct server){.loop = loop, .c = c, .decision = decision};
	if (!loop_watch(loop, c->listen, POLLIN, accept_waiting, server) ||
		(c->door >= 0 && !loop_watch(loop, c->door, POLLIN, accept_door, server)) ||
		!loop_watch(loop, c->pid1.pidfd, POLLIN, pid1_ended, server)) {
		free(server);
		return NULL;
	}
	if (decision && decision->max_age > 0)
		loop_timer_set(loop, &server->age, decision->max_age * 1000LL, hang_up, server);
	return server;
}

void server_free(struct server *server)
{
	if (!server)
		return;
	server->decision = NULL;
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
