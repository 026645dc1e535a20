#include "sessions.h"

#include "../libcore/base/cleanup.h"
#include "../libcore/base/compat.h"
#include "../libcore/base/io.h"
#include "../libcore/whole/control.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

enum { HANGUP_MS = 5000 }; /* between the hangup at max_age and the end */
/* Sessions by the door take two of this process's descriptors each. */
enum { MAX_DOOR_SESSIONS = 128, DOOR_BATCH = 16 };

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
