/* nsinit exec: spawn the container of a rootfs directory with a command as its pid 1, or join it if it lives.
 */
#include "../libcore/act/relay.h"
#include "../libcore/base/cleanup.h"
#include "../libcore/base/compat.h"
#include "../libcore/base/io.h"
#include "../libcore/base/str.h"
#include "../libcore/process/forward.h"
#include "../libcore/process/join.h"
#include "../libcore/whole/control.h"
#include "../libcore/whole/ensure.h"
#include "commands.h"
#include "container.h"
#include "server.h"

#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { MAX_SET = 64 };

struct options {
	const char *dir, *user, *workdir;
	char *set[MAX_SET + 1]; /* -e */
	int n_set;
	int tty; /* -1: when input and output are terminals */
	bool detach, init;
	char **command;
};

/* What the event loop needs of the running command. */
struct front {
	struct loop *loop;
	struct relay *relay;
	struct nsi_process *process;
	struct nsi_forward forward;
	bool tty;
	int started, parent_stderr; /* with -d, until the command runs */
};

static int usage(void)
{
	fputs("usage: nsinit exec [-C DIR] [-t|-T] [-d] [-u USER[:GROUP]] [-w DIR] [-e NAME=VALUE]\n"
	      "                   [--init] [--] COMMAND...\n",
		stderr);
	return NSI_EXIT_FAILED;
}

static bool parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {{"init", no_argument, NULL, 'i'}, {0}};
	int c;

	*o = (struct options){.dir = ".", .tty = -1};
	while ((c = getopt_long(argc, argv, "+C:tTdu:w:e:", longs, NULL)) != -1) {
		switch (c) {
		case 'C':
			o->dir = optarg;
			break;
		case 't':
			o->tty = 1;
			break;
		case 'T':
			o->tty = 0;
			break;
		case 'd':
			o->detach = true;
			break;
		case 'u':
			o->user = optarg;
			break;
		case 'w':
			o->workdir = optarg;
			break;
		case 'e':
			if (o->n_set == MAX_SET || optarg[0] == '=' || !strchr(optarg, '='))
				return false;
			o->set[o->n_set++] = optarg;
			break;
		case 'i':
			o->init = true;
			break;
		default:
			return false;
		}
	}
	o->command = argv + optind;
	return optind < argc && !(o->detach && o->tty == 1);
}

/* ------------------------------------------------------------------ what to run */

static bool same_name(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return strncmp(a, b, n + 1) == 0;
}

/* The container's environment with -e on top. The strings stay where they are. */
static char **merge_environment(char *const *base, const struct options *o)
{
	size_t n = 0, used = 0;

	while (base[n])
		n++;
	char **env = calloc(n + (size_t)o->n_set + 1, sizeof(char *));
	for (size_t i = 0; env && i < n; i++) {
		bool replaced = false;

		for (int s = 0; s < o->n_set; s++)
			replaced |= same_name(o->set[s], base[i]);
		if (!replaced)
			env[used++] = base[i];
	}
	for (int s = 0; env && s < o->n_set; s++)
		env[used++] = o->set[s];
	return env;
}

static int apply_options(
	const struct options *o, int rootfd, struct nsi_confinement *confine, struct nsi_error *err)
{
	if (o->workdir && (o->workdir[0] != '/' ||
				  !nsi_copy(confine->working_dir, sizeof(confine->working_dir), o->workdir)))
		return nsi_failf(err, EINVAL, "using -w", o->workdir, NULL, "not an absolute path");
	if (!o->user)
		return 0;
	struct nsi_image image = {0};
	image_read(rootfd, "etc/passwd", &image.passwd);
	image_read(rootfd, "etc/group", &image.group);
	int r = nsi_resolve_identity(o->user, &image, confine, err);
	free(image.passwd);
	free(image.group);
	return r;
}

/* ------------------------------------------------------------------ the running command */

static void process_ended(struct loop *loop, int fd, void *data)
{
	(void)fd, (void)data;
	loop_stop(loop);
}

/* Our session's connection: its end says that the container, and with it the command, is gone. */
static void container_gone(struct loop *loop, int fd, void *data)
{
	struct front *f = data;

	loop_forget(loop, fd);
	nsi_pidfd_send_signal(f->process->pidfd, SIGKILL);
}

static void tell_parent(struct front *f, int status);

static bool run(struct front *f, int signals)
{
	tell_parent(f, 0);
	relay_started(f->relay);
	if (f->tty)
		relay_terminal(f->relay, nsi_take_fd(&f->process->pty));
	f->forward = (struct nsi_forward){.relay = f->relay, .pidfd = f->process->pidfd};
	if (!nsi_forward_signals(f->loop, signals, &f->forward))
		return false;
	loop_run(f->loop);
	return true;
}

static char **put_init_before(char **command)
{
	static char name[] = "nsinit-init";
	size_t n = 0;

	while (command[n])
		n++;
	char **argv = calloc(n + 2, sizeof(char *));
	if (argv) {
		argv[0] = name;
		memcpy(argv + 1, command, n * sizeof(char *));
	}
	return argv;
}

static int spawn(const struct options *o, struct container *c, int *lock, struct front *f, int signals,
	struct nsi_exec *exec, struct nsi_error *err)
{
	cleanup_free char **under_init = NULL;
	int r = 0;

	exec->argv = o->command;
	if (o->init) {
		exec->argv = under_init = put_init_before(o->command);
		r = under_init ? nsi_sealed_copy(NSINIT_INIT, &exec->image, err)
			       : nsi_fail(err, ENOMEM, "starting", o->command[0], NULL);
	}
	if (r == 0)
		r = apply_options(o, c->rootfd, &c->plan->confine, err);
	cleanup_free char **env = merge_environment(c->plan->environment, o);
	exec->env = env;
	if (r == 0)
		r = env ? container_start(c, exec, err)
			: nsi_fail(err, ENOMEM, "starting", o->command[0], NULL);
	if (r < 0)
		return r;
	close(nsi_take_fd(lock)); /* from here on others join */
	f->process = &c->pid1;
	struct server *server = server_new(f->loop, c, NULL);
	if (!server || !run(f, signals))
		r = nsi_fail(err, ENOMEM, "supervising", o->command[0], NULL);
	f->process = NULL;
	int status = nsi_exit_status(container_end(c));
	server_free(server, status);
	return r < 0 ? r : status;
}

static int join(const struct options *o, int rootfd, int sock, struct nsi_reply *reply, int fds[],
	struct front *f, int signals, struct nsi_exec *exec, struct nsi_error *err)
{
	struct nsi_process p;
	cleanup_free char **base = nsi_reply_environment(reply);
	cleanup_free char **env = base ? merge_environment(base, o) : NULL;
	int wait_status = 0;
	int r = env ? 0 : nsi_fail(err, ENOMEM, "joining", o->dir, NULL);

	exec->argv = o->command;
	exec->env = env;
	exec->cgroup = reply->cgroup > 0 && reply->cgroup < NSI_MAX_FDS ? fds[reply->cgroup] : -1;
	if (r == 0)
		r = apply_options(o, rootfd, &reply->confine, err);
	if (r == 0)
		r = nsi_join(&reply->confine, fds[NSI_FD_PID1], fds[NSI_FD_DEVPTS], exec, &p, err);
	if (r < 0)
		return r;
	r = nsi_process_go(&p, err);
	f->process = &p;
	if (r == 0 && (!loop_watch(f->loop, p.pidfd, POLLIN, process_ended, f) ||
			      !loop_watch(f->loop, sock, POLLIN, container_gone, f) || !run(f, signals)))
		r = nsi_fail(err, ENOMEM, "supervising", o->command[0], NULL);
	f->process = NULL;
	if (r < 0) {
		nsi_process_discard(&p);
		return r;
	}
	while (waitpid(p.pid, &wait_status, 0) < 0 && errno == EINTR)
		continue;
	return nsi_exit_status(wait_status);
}

/* ------------------------------------------------------------------ which of the two */

static int spawn_or_join(const struct options *o, int rootfd, struct front *f, int signals,
	struct nsi_exec *exec, struct nsi_error *err)
{
	cleanup_fd int lock = -1, sock = -1;
	cleanup_free struct nsi_reply *reply = malloc(sizeof(*reply));
	struct nsi_question q = {.ask = NSI_ASK_EXEC, .uid = geteuid(), .leader = -1};
	char id[NSI_ID_SIZE];
	int fds[NSI_MAX_FDS];

	if (!reply)
		return nsi_fail(err, ENOMEM, "starting", o->dir, NULL);
	int r = nsi_container_id(rootfd, id, err);
	if (r == 0)
		r = nsi_run_dir(err);
	if (r == 0)
		r = nsi_lock(id, NSI_LOCK_DEADLINE_MS, &lock, err);
	if (r < 0)
		return r;
	r = nsi_control_connect(id, &sock, err);
	if (r == 0)
		r = nsi_control_ask(sock, &q, reply, fds, err);
	if (r == 0) {
		close(nsi_take_fd(&lock));
		return join(o, rootfd, sock, reply, fds, f, signals, exec, err);
	}
	if (!nsi_supervisor_gone(r))
		return r;
	struct container c;
	r = nsi_make_room(id, rootfd, err);
	if (r == 0)
		r = container_load(&c, fcntl(rootfd, F_DUPFD_CLOEXEC, 3), NULL, err);
	if (r == 0) {
		r = spawn(o, &c, &lock, f, signals, exec, err);
		container_free(&c);
	}
	if (lock >= 0) /* nothing was started, and nobody else could: the file is of no more use */
		nsi_lock_remove(id);
	return r;
}

static int open_dir(const char *dir, int *ret_fd, struct nsi_error *err)
{
	*ret_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? nsi_fail(err, errno, "opening the rootfs directory", dir, NULL) : 0;
}

/* A caller may have closed some of 0, 1 and 2: what we open next must not take their places. */
static bool fill_stdio(void)
{
	for (;;) {
		int fd = open("/dev/null", O_RDWR);

		if (fd > 2)
			return close(fd) == 0;
		if (fd < 0)
			return false;
	}
}

/*
 * In the background: a process of its own session without input or output. The parent waits to hear whether
 * the command could be started, prints the process's pid or leaves it its standard error, and ends with that
 * status.
 */
static bool detach(struct front *f)
{
	int status = NSI_EXIT_FAILED, ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	pid_t pid = fork();
	if (pid < 0)
		return false;
	if (pid > 0) {
		close(ends[1]);
		if (read(ends[0], &status, sizeof(status)) == (ssize_t)sizeof(status) && status == 0)
			printf("%d\n", (int)pid);
		exit(status);
	}
	close(ends[0]);
	f->started = ends[1];
	f->parent_stderr = fcntl(2, F_DUPFD_CLOEXEC, 3);
	setsid();
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	return fill_stdio();
}

/* Tell the waiting parent of detach(), if there is one. */
static void tell_parent(struct front *f, int status)
{
	if (f->started < 0)
		return;
	(void)!write(f->started, &status, sizeof(status));
	close(nsi_take_fd(&f->started));
	close(nsi_take_fd(&f->parent_stderr));
}

static int fail(struct front *f, const struct nsi_error *err)
{
	if (f->parent_stderr >= 0)
		dup2(f->parent_stderr, 2);
	int status = report(err);
	tell_parent(f, status);
	return status;
}

static int prepare_and_run(const struct options *o, int rootfd, struct front *f, struct nsi_error *err)
{
	struct nsi_exec exec = {.image = -1, .tty = f->tty, .umask = 0022};
	int signals = nsi_block_signals();
	enum relay_way ways[3];

	for (int fd = 0; fd < 3; fd++)
		ways[fd] = f->tty ? RELAY_TERMINAL : relay_may_cross(fd) ? RELAY_PASS : RELAY_COPY;

	f->loop = loop_new();
	f->relay = f->loop ? relay_new(f->loop, ways) : NULL;
	if (!f->relay || signals < 0)
		return nsi_fail(err, ENOMEM, "preparing", "standard input and output", NULL);
	memcpy(exec.stdio, relay_stdio(f->relay), sizeof(exec.stdio));
	int r = spawn_or_join(o, rootfd, f, signals, &exec, err);
	relay_finish(f->relay);
	loop_free(f->loop);
	return r;
}

int cmd_exec(int argc, char **argv)
{
	struct options o;
	struct nsi_error err = {0};
	struct front f = {.started = -1, .parent_stderr = -1};
	int rootfd = -1, r;

	if (!fill_stdio() || !parse_options(argc, argv, &o))
		return usage();
	if (nsi_close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		r = nsi_fail(&err, errno, "marking for closing", "the caller's descriptors", NULL);
	else
		r = open_dir(o.dir, &rootfd, &err);
	if (r < 0)
		return report(&err);
	if (geteuid() == 0)
		prctl(PR_SET_DUMPABLE, 0);
	f.tty = o.tty == 1 || (o.tty < 0 && !o.detach && isatty(0) && isatty(1));
	if (o.detach && !detach(&f))
		return NSI_EXIT_FAILED;
	r = prepare_and_run(&o, rootfd, &f, &err);
	close(rootfd);
	return r < 0 ? fail(&f, &err) : r;
}
