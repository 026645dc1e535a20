/*
 * A supervisor and those who connect to it: a container's server with its sockets and timers, and at each
 * turn of its loop one step of its clients: they connect, by the control socket or the door, ask, say what is
 * no request, hang up; leaders, pid 1 and processes inside end, time passes. Time is this program's, and so
 * are the terminals that a login is given, which take namespaces, the freezing of control groups, and the
 * number of processes inside (by --wrap of the linker).
 */
#include "fuzz.h"

#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/base/io.h"
#include "../../libcore/process/join.h"
#include "../../libcore/whole/control.h"
#include "../../nsinit/supervise/server.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

enum { CLIENTS = 8, LEADERS = 4, MAX_STEPS = 200, LAST_TURNS = 4 };

struct world {
	struct fuzz_input in;
	struct loop *loop;
	struct container container;
	struct server *server;
	int turn, steps; /* an eventfd that is always ready */
	int clients[CLIENTS];
	int leaders[LEADERS]; /* eventfds in the place of pidfds: ready once they have "ended" */
};

static long long now_ms;

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	if (clock != CLOCK_MONOTONIC)
		return __real_clock_gettime(clock, ret);
	*ret = (struct timespec){.tv_sec = now_ms / 1000, .tv_nsec = now_ms % 1000 * 1000000};
	return 0;
}

int __wrap_nsi_borrow_terminals(int pidfd, int devpts, int *ret_tree, struct nsi_error *err);
int __wrap_nsi_borrow_terminals(int pidfd, int devpts, int *ret_tree, struct nsi_error *err)
{
	(void)pidfd;
	*ret_tree = fcntl(devpts, F_DUPFD_CLOEXEC, 3);
	return *ret_tree < 0 ? nsi_fail(err, errno, "borrowing", "terminals", NULL) : 0;
}

static bool freezes; /* whether the container has a control group that can be frozen */

int __real_nsi_cgroup_freeze(int dir, bool freeze, struct nsi_error *err);
int __wrap_nsi_cgroup_freeze(int dir, bool freeze, struct nsi_error *err);
int __wrap_nsi_cgroup_freeze(int dir, bool freeze, struct nsi_error *err)
{
	return freezes ? 0 : __real_nsi_cgroup_freeze(dir, freeze, err);
}

static int inside; /* how many processes are in the container beside pid 1 */

int __wrap_container_signal(const struct container *c, int sig);
int __wrap_container_signal(const struct container *c, int sig)
{
	(void)c;
	fuzz_check(sig == 0 || sig == SIGHUP);
	return inside;
}

/* ------------------------------------------------------------------ the clients' steps */

static void connect_to(struct world *w, int *client, int listen)
{
	struct sockaddr_un a;
	socklen_t len = sizeof(a);

	if (*client >= 0 || listen < 0 || getsockname(listen, (struct sockaddr *)&a, &len) < 0)
		return;
	*client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (connect(*client, (struct sockaddr *)&a, len) < 0)
		close(nsi_take_fd(client));
	(void)w;
}

static void adopt(struct world *w, int *client)
{
	int pair[2];

	if (*client >= 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	*client = pair[0];
	server_adopt(w->server, pair[1]);
}

static void say(struct world *w, int client)
{
	struct nsi_request q = {.magic = NSI_CONTROL_MAGIC};
	unsigned how = fuzz_byte(&w->in);
	uint8_t junk[sizeof(q)];
	int fds[NSI_MAX_FDS] = {0};

	q.ask = (enum nsi_ask)((how & 7) == NSI_ASK_WAIT ? NSI_ASK_WAIT + fuzz_byte(&w->in) % 3 : how & 7);
	q.uid = how & 8 ? 1000 : fuzz_byte(&w->in);
	fds[0] = w->leaders[fuzz_byte(&w->in) % LEADERS];
	fds[1] = w->leaders[0];
	if (how & 16) {
		size_t len = fuzz_block(&w->in, junk, how & 32 ? sizeof(q) : 64);

		nsi_send(client, junk, len, fds, how >> 6);
	} else {
		nsi_send(client, &q, sizeof(q), fds, how >> 6);
	}
}

static void step(struct world *w)
{
	unsigned what = fuzz_byte(&w->in), which = what >> 4;
	int *client = &w->clients[which % CLIENTS];
	const uint64_t one = 1;

	switch (what & 15) {
	case 0:
		connect_to(w, client, w->container.listen);
		break;
	case 1:
		connect_to(w, client, w->container.door);
		break;
	case 2:
		adopt(w, client);
		break;
	case 3:
	case 4:
	case 5:
	case 6:
		if (*client >= 0)
			say(w, *client);
		break;
	case 7:
		if (*client >= 0)
			close(nsi_take_fd(client));
		break;
	case 8:
		(void)!write(w->leaders[which % LEADERS], &one, sizeof(one));
		break;
	case 9:
		now_ms += 1LL << which;
		break;
	case 10:
		if (which == 15)
			(void)!write(w->container.pid1.pidfd, &one, sizeof(one));
		else
			inside = (int)which % 3;
		break;
	default: /* a turn without anything */
		break;
	}
}

static void turn(struct loop *loop, int fd, void *data)
{
	struct world *w = data;
	static uint8_t answer[sizeof(struct nsi_reply)];

	(void)fd;
	/* The server's sends would wait for who never reads. Descriptors that are not asked for are closed.
	 */
	for (int i = 0; i < CLIENTS; i++)
		if (w->clients[i] >= 0)
			(void)!recv(w->clients[i], answer, sizeof(answer), MSG_DONTWAIT);
	if (w->in.left && w->steps++ < MAX_STEPS) {
		step(w);
	} else {
		w->in.left = 0;
		if (w->steps++ > MAX_STEPS + LAST_TURNS)
			loop_stop(loop);
		else if (w->steps < MAX_STEPS)
			w->steps = MAX_STEPS;
	}
}

/* ------------------------------------------------------------------ the world */

/* With a name of the kernel's choice, which needs no file. */
static int listening(void)
{
	const struct sockaddr_un a = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	fuzz_check(
		bind(sock, (const struct sockaddr *)&a, sizeof(a.sun_family)) == 0 && listen(sock, 16) == 0);
	return sock;
}

/* With a user namespace, or without. */
static struct nsi_plan *plan_of(bool userns)
{
	static char variable[] = "container=nsinit";
	static char *environment[] = {variable, NULL};
	static struct nsi_plan plans[2];
	struct nsi_plan *plan = &plans[userns];
	const uint32_t uid = 1000;

	if (plan->environment)
		return plan;
	plan->environment = environment;
	plan->login.present = true;
	plan->login.uid = plan->login.gid = 1000;
	plan->confine.namespaces = userns ? CLONE_NEWUSER : 0;
	plan->confine.ids.n_uids = nsi_idmap_make(0x70000000, &uid, 1, plan->confine.ids.uids);
	plan->confine.ids.n_gids = nsi_idmap_make(0x70000000, &uid, 1, plan->confine.ids.gids);
	return plan;
}

static void make_decision(struct nsi_decision *d, unsigned how)
{
	static const int lifetimes[] = {
		NSI_LIFETIME_LAST_SESSION, NSI_LIFETIME_FOREVER, NSI_LIFETIME_LINGER, 3};

	*d = (struct nsi_decision){.verdict = NSI_CONTAINER,
		.lifetime = lifetimes[how >> 2 & 3],
		.idle = 2,
		.max_age = how & 16 ? 7 : 0,
		.max_sessions = how & 32 ? 2 : 0};
}

static void run(struct world *w, unsigned how)
{
	static struct nsi_decision decision;
	struct container *c = &w->container;

	make_decision(&decision, how);
	freezes = how & 128;
	inside = 1;
	*c = (struct container){
		.id = "fuzz", .door_name = "fuzz", .plan = plan_of(how & 1), .cgroup.dir = -1, .proc = -1};
	c->pid1 = (struct nsi_process){
		.pidfd = eventfd(0, EFD_CLOEXEC), .devpts = open("/", O_PATH | O_CLOEXEC)};
	c->listen = listening();
	c->door = how & 1 ? listening() : -1;
	if (how & 64)
		c->cgroup.dir = c->pid1.devpts; /* a directory in which nobody can be moved anywhere */
	loop_watch(w->loop, w->turn, POLLIN, turn, w);
	w->server = server_new(w->loop, c, how & 2 ? NULL : &decision, NULL);
	fuzz_check(w->server != NULL);
	loop_run(w->loop);
	server_free(w->server, -1);
	loop_free(w->loop);
	close(c->pid1.pidfd);
	close(c->pid1.devpts);
	if (c->listen >= 0)
		close(c->listen);
	if (c->door >= 0)
		close(c->door);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = {.in = {data, size}};
	uint64_t before = fuzz_open_fds();

	now_ms = 1000;
	w.loop = loop_new();
	w.turn = eventfd(1, EFD_CLOEXEC);
	for (int i = 0; i < CLIENTS; i++)
		w.clients[i] = -1;
	for (int i = 0; i < LEADERS; i++)
		w.leaders[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	run(&w, fuzz_byte(&w.in));
	for (int i = 0; i < CLIENTS; i++)
		if (w.clients[i] >= 0)
			close(w.clients[i]);
	for (int i = 0; i < LEADERS; i++)
		close(w.leaders[i]);
	close(w.turn);
	fuzz_check(fuzz_open_fds() == before);
	return 0;
}
