/* The supervisor's connections: who comes, and what ends a session. */
#include "server.h"

#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/base/io.h"
#include "../../libcore/parse/policy.h"
#include "server_parts.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

/* Sessions by the door take two of this process's descriptors each. */
enum { MAX_DOOR_SESSIONS = 128, DOOR_BATCH = 16, DOOR_FRESH_MS = 60000 };

void server_close(struct server *server, int *fd)
{
	if (*fd < 0)
		return;
	loop_forget(server->loop, *fd);
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

/* ------------------------------------------------------------------ sessions */

void session_end(struct session *s)
{
	struct server *server = s->server;
	struct session **at = &server->sessions;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	bool counted = s->leader >= 0;
	groups_session_ended(server->groups, s->uid, s->leader_pid, s->child_pid);
	group_close(&s->group);
	server_close(server, &s->sock);
	server_close(server, &s->leader);
	server_close(server, &s->child);
	free(s);
	server->counted -= counted;
	server_counted_changed(server);
}

/* The leader ended without a word: what serves its connection must not go on without it. */
void session_leader_ended(struct loop *loop, int fd, void *data)
{
	struct session *s = data;

	(void)loop, (void)fd;
	if (s->child >= 0)
		nsi_pidfd_send_signal(s->child, SIGKILL);
	session_end(s);
}

static void read_request(struct loop *loop, int fd, void *data)
{
	struct session *s = data;
	struct nsi_request q;
	int fds[NSI_MAX_FDS] = {-1, -1, -1, -1, -1, -1, -1, -1};
	ssize_t n = s->door ? 0 : nsi_receive(fd, &q, sizeof(q), fds, 0);

	if (n == (ssize_t)sizeof(q) && q.magic == NSI_CONTROL_MAGIC) {
		session_serve(s, &q, &fds[0]);
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

static void accept_all(struct server *server, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int sock;

	while ((sock = loop_accept(fd)) >= 0) {
		if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.uid != geteuid())
			close(sock);
		else
			server_adopt(server, sock);
	}
}

static void accept_waiting(struct loop *loop, int fd, void *data)
{
	(void)loop;
	accept_all(data, fd);
}

void server_accept(struct server *server)
{
	accept_all(server, server->c->listen);
}

static long long real_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* Decided by the policy as it is, and so lately that the user is still of the same groups. */
static bool is_fresh(const struct session *s)
{
	const long long age = loop_now() - s->since;
	struct stat st;

	if (stat(NSINIT_POLICY, &st) < 0)
		st.st_ctim = (struct timespec){0}; /* PAM's lines may name another */
	return age < DOOR_FRESH_MS &&
	       st.st_ctim.tv_sec * 1000LL + st.st_ctim.tv_nsec / 1000000 < real_ms() - age;
}

/* Of whom, takes name services to say, on which we must not wait. */
static bool policy_records(void)
{
	struct nsi_policy *policy = NULL;
	struct nsi_error err = {0};
	bool records = nsi_policy_load(NSINIT_POLICY, &policy, &err) < 0;

	for (int i = 0; !records && i < policy->n_rules; i++)
		records = policy->rules[i].options.recording.tty;
	nsi_policy_free(policy);
	return records;
}

/*
 * What was decided for a session that is open holds for who comes in beside it, unless that is long ago or
 * the policy has changed, and they might have to be recorded by now: nsinitd decides that anew.
 */
static int check_door(
	const struct server *server, int sock, uid_t *ret_uid, int *ret_leader, struct nsi_error *err)
{
	bool open = false, recorded = false, fresh = false;
	int n = 0;

	for (const struct session *s = server->sessions; s; s = s->next) {
		open |= s->opens;
		recorded |= s->opens && s->recorded;
		fresh |= s->opens && is_fresh(s);
		n += s->door;
	}
	if (n >= MAX_DOOR_SESSIONS)
		return nsi_failf(
			err, EBUSY, "opening a session in", server->c->id, NULL, "too many are open");
	if (!open || recorded || (!fresh && policy_records()))
		return nsi_failf(err, EAGAIN, "opening a session in", server->c->id, NULL, "%s",
			open ? "what comes in here is not recorded" : "no login session is open");
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
	if (session_count(s, &(struct nsi_request){.ask = NSI_ASK_SHELL, .uid = uid}, leader))
		session_serve_shell(s, uid);
}

static void accept_door(struct loop *loop, int fd, void *data)
{
	int sock;

	(void)loop;
	/* A few at a time: who connects without end must not keep the rest of the loop from its turn. */
	for (int i = 0; i < DOOR_BATCH && (sock = loop_accept(fd)) >= 0; i++)
		answer_door(data, sock);
}

/* ------------------------------------------------------------------ the whole */

static void pid1_ended(struct loop *loop, int fd, void *data)
{
	struct server *server = data;

	loop_forget(loop, fd);
	server_end(server, groups_killed_init(server->groups) ? "out of memory, the kernel has killed pid 1"
							      : "pid 1 has ended");
}

struct server *server_new(
	struct loop *loop, struct container *c, const struct nsi_decision *decision, struct groups *groups)
{
	struct server *server = calloc(1, sizeof(*server));
	struct nsi_reply *reply = malloc(sizeof(*reply));

	if (!server || !reply) {
		free(server);
		free(reply);
		return NULL;
	}
	*server =
		(struct server){.loop = loop, .c = c, .decision = decision, .groups = groups, .reply = reply};
	if (!loop_watch(loop, c->listen, POLLIN, accept_waiting, server) ||
		(c->door >= 0 && !loop_watch(loop, c->door, POLLIN, accept_door, server)) ||
		!loop_watch(loop, c->pid1.pidfd, POLLIN, pid1_ended, server)) {
		free(server);
		free(reply);
		return NULL;
	}
	server_age_start(server);
	return server;
}

void server_free(struct server *server, int status)
{
	if (!server)
		return;
	server->decision = NULL;
	server->groups = NULL;
	while (server->sessions) {
		struct session *s = server->sessions;

		/* sshd's process for the connection is no member of the pid namespace: it would stay behind.
		 */
		if (s->child >= 0)
			nsi_pidfd_send_signal(s->child, SIGKILL);
		if (s->waits)
			session_tell_end(s, status);
		session_end(s);
	}
	free(server->reply);
	free(server);
}
