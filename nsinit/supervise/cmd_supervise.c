/* The supervisor of a login container: started by the library, with its first client as descriptor 3. */
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/log.h"
#include "../../libcore/parse/resources.h"
#include "../../libcore/whole/control.h"
#include "../commands.h"
#include "machine.h"
#include "server.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <syslog.h>

enum { CLIENT = 3, START_SECONDS = 60 };

static void refuse(const struct nsi_error *err)
{
	struct nsi_request unused;
	int fds[NSI_MAX_FDS];
	char text[2048];

	nsi_log("nsinit", LOG_ERR, "reason=%s %s", err->reason[0] ? err->reason : "spawn",
		nsi_error_text(err, text, sizeof(text)));
	/* The client's question first: ending with it unread would reset the connection, and the answer be
	 * lost. */
	nsi_receive(CLIENT, &unused, sizeof(unused), fds, 10000);
	nsi_control_refuse(CLIENT, err);
}

static void on_signal(struct loop *loop, int fd, void *data)
{
	struct signalfd_siginfo info;

	(void)loop;
	if (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		server_end(data, "a signal has come");
}

static int watch_signals(struct loop *loop, struct server *server)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGRTMIN + 4); /* machinectl poweroff */
	sigprocmask(SIG_BLOCK, &set, NULL);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd >= 0 && loop_watch(loop, fd, POLLIN, on_signal, server) ? fd : -1;
}

static int start(struct container *c, int rootfd, const struct nsi_login *login, struct nsi_error *err)
{
	static char name[] = "nsinit-init";
	static char *const argv[] = {name, NULL}, *const env[] = {NULL};
	struct nsi_exec exec = {.argv = argv, .env = env, .stdio = {0, 1, 2}, .umask = 0022, .image = -1};

	/* Whoever waits for the container's lock waits for this. */
	alarm(START_SECONDS);
	int r = container_load(c, rootfd, login, err);
	if (r == 0)
		r = nsi_sealed_copy(NSINIT_INIT, &exec.image, err);
	if (r == 0)
		r = container_start(c, &exec, err);
	if (exec.image >= 0)
		close(exec.image);
	alarm(0);
	return r;
}

/* Each session takes some descriptors. What the container is started with is given to it already. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void log_limit(const struct container *c, const char *what)
{
	nsi_log("nsinit", LOG_WARNING, "container=%s reason=limit %s", c->id, what);
}

static void log_resources(const struct container *c)
{
	char text[256], each[256];

	if (c->plan->limits_note[0])
		nsi_log("nsinit", LOG_WARNING, "container=%s reason=limits %s", c->id, c->plan->limits_note);
	if (c->note[0])
		nsi_log("nsinit", LOG_WARNING, "container=%s reason=quota %s", c->id, c->note);
	if (c->cgroup.note[0])
		nsi_log("nsinit", LOG_WARNING,
			"container=%s reason=resources not limited, for lack of a controller: %s", c->id,
			c->cgroup.note);
	if (c->cgroup.dir >= 0)
		nsi_log("nsinit", LOG_INFO, "container=%s cgroup=%s%s%s%s%s", c->id, c->cgroup.path,
			c->plan->resources.set ? " " : "",
			nsi_resources_text(&c->plan->resources, text, sizeof(text)),
			c->plan->session_resources.set ? " each session " : "",
			nsi_resources_text(&c->plan->session_resources, each, sizeof(each)));
}

/* It is to live long, and small: what the start and the first login needed is of no more use. */
static void give_memory_back(struct loop *loop, int fd, void *data)
{
	(void)loop, (void)fd, (void)data;
	malloc_trim(0);
}

static int serve(struct container *c, const struct nsi_login *who)
{
	const struct nsi_decision *decision = &who->decision;
	struct loop *loop = loop_new();
	struct groups *groups = loop ? groups_new(loop, c, log_limit) : NULL;
	struct server *server = groups ? server_new(loop, c, decision, groups) : NULL;
	int signals = server ? watch_signals(loop, server) : -1;

	if (signals < 0) {
		container_end(c);
		return NSI_EXIT_FAILED;
	}
	server_adopt(server, CLIENT);
	struct machine *machine = machine_tell(loop, c, who);
	struct loop_timer settled = {0};
	loop_timer_set(loop, &settled, 1000, give_memory_back, NULL);
	loop_run(loop);
	machine_free(machine);
	groups_free(groups);
	container_end(c);
	nsi_log("nsinit", LOG_INFO, "container=%s rootfs=%s ended: %s", c->id, decision->rootfs,
		server_why(server));
	server_free(server, -1);
	close(signals);
	loop_free(loop);
	return 0;
}

int cmd_supervise(int argc, char **argv)
{
	cleanup_free struct nsi_launch_order *order = calloc(1, sizeof(*order));
	struct container c = container_none();
	struct nsi_error err = {0};
	int fds[NSI_MAX_FDS];

	(void)argc, (void)argv;
	if (!order || geteuid() != 0 ||
		nsi_receive(CLIENT, order, sizeof(*order), fds, 10000) != (ssize_t)sizeof(*order) ||
		order->magic != NSI_CONTROL_MAGIC || fds[0] < 0 || fds[1] < 0)
		return NSI_EXIT_FAILED;
	fcntl(CLIENT, F_SETFD, FD_CLOEXEC);
	openlog("nsinit", LOG_PID, LOG_AUTHPRIV);
	if (start(&c, fds[0], &order->who, &err) < 0) {
		refuse(&err);
		container_free(&c);
		return NSI_EXIT_FAILED;
	}
	close(fds[1]); /* the lock: from here on the control socket answers */
	nsi_log("nsinit", LOG_INFO, "container=%s pid=%d user=%s rootfs=%s started", c.id, (int)c.pid1.pid,
		order->who.user.name, order->who.decision.rootfs);
	log_resources(&c);
	raise_descriptors();
	int status = serve(&c, &order->who);
	container_free(&c);
	return status;
}
