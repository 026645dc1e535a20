#include "front.h"

#include "../../libcore/act/proc.h"
#include "../../libcore/act/tty.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/str.h"
#include "../../libcore/process/join.h"
#include "../../libcore/whole/control.h"
#include "../../libcore/whole/ensure.h"
#include "../../libcore/whole/record.h"
#include "../container/container.h"
#include "../supervise/server.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* ------------------------------------------------------------------ what to run */

static bool same_name(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return strncmp(a, b, n + 1) == 0;
}

/* The container's environment with -e on top. The strings stay where they are. */
static char **merge_environment(char *const *base, const struct exec_options *o)
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

/* `root` is where the accounts are. */
static int apply_options(
	const struct exec_options *o, int root, struct nsi_confinement *confine, struct nsi_error *err)
{
	if (o->workdir && (o->workdir[0] != '/' ||
				  !nsi_copy(confine->working_dir, sizeof(confine->working_dir), o->workdir)))
		return nsi_failf(err, EINVAL, "using -w", o->workdir, NULL, "not an absolute path");
	if (!o->user)
		return 0;
	struct nsi_image image = {0};
	int r = image_read_all(root, &image, err);
	if (r == 0)
		r = nsi_resolve_identity(o->user, &image, confine, err);
	image_free(&image);
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

void front_tell(struct front *f, int status)
{
	if (f->started < 0)
		return;
	(void)!write(f->started, &status, sizeof(status));
	close(nsi_take_fd(&f->started));
	close(nsi_take_fd(&f->parent_stderr));
}

/* Its end is no reason to end the command, which might not need it any more. */
static void pasta_gone(struct loop *loop, int fd, void *data)
{
	(void)data;
	loop_forget(loop, fd);
	fputs("nsinit: pasta has ended: the container has no network any more\n", stderr);
}

static bool run(struct front *f)
{
	front_tell(f, 0);
	relay_started(f->relay);
	if (f->process->recorded)
		relay_recorded(f->relay);
	if (f->tty)
		relay_terminal(f->relay, nsi_take_fd(&f->process->pty));
	f->forward = (struct nsi_forward){.relay = f->relay, .pidfd = f->process->pidfd};
	if (!nsi_forward_signals(f->loop, f->signals, &f->forward))
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

static int spawn(const struct exec_options *o, struct container *c, int *lock, struct front *f,
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
	struct server *server = server_new(f->loop, c, NULL, NULL);
	if (server && c->pid1.pasta.pid > 0)
		loop_watch(f->loop, c->pid1.pasta.pidfd, POLLIN, pasta_gone, NULL);
	if (!server || !run(f))
		r = nsi_fail(err, ENOMEM, "supervising", o->command[0], NULL);
	f->process = NULL;
	int status = nsi_exit_status(container_end(c));
	server_free(server, status);
	return r < 0 ? r : status;
}

/*
 * Of a live one: its root directory as it sees it. With an image that is no directory of the host, and
 * /etc/passwd may be one that was mounted.
 */
static int open_inside(int pid1, int *ret_root, struct nsi_error *err)
{
	cleanup_fd int process = -1;
	int r = nsi_pidfd_dir(pid1, &process, err);
	int root = r < 0 ? -1 : openat(process, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (r == 0 && root < 0)
		r = nsi_fail(err, errno, "opening", "the container's root directory", NULL);
	if (r == 0)
		*ret_root = root;
	return r;
}

/* What the supervisor of a live container has answered. */
struct entry {
	int sock;
	int fds[NSI_MAX_FDS];
	struct nsi_reply reply;
	int master; /* of a recorded terminal, or -1 */
};

static int start(const struct exec_options *o, struct entry *e, struct nsi_exec *exec,
	struct nsi_process *ret, struct nsi_error *err)
{
	const struct nsi_reply *reply = &e->reply;
	cleanup_fd int root = -1;
	int r = o->user ? open_inside(e->fds[NSI_FD_PID1], &root, err) : 0;

	exec->argv = o->command;
	exec->cgroup = reply->cgroup > 0 && reply->cgroup < NSI_MAX_FDS ? e->fds[reply->cgroup] : -1;
	if (r == 0)
		r = apply_options(o, root, &e->reply.confine, err);
	if (r == 0)
		r = nsi_join(&reply->confine, e->fds[NSI_FD_PID1], e->fds[NSI_FD_DEVPTS], exec, ret, err);
	if (exec->terminal > 0)
		close(exec->terminal); /* its end is then seen by the recorder */
	return r < 0 ? r : nsi_process_go(ret, err);
}

static int join(const struct exec_options *o, struct entry *e, struct front *f, struct nsi_exec *exec,
	struct nsi_error *err)
{
	struct nsi_process p = {.pid = -1, .pidfd = -1, .sync = -1, .pty = -1, .devpts = -1};
	cleanup_free char **base = nsi_reply_environment(&e->reply);
	cleanup_free char **env = base ? merge_environment(base, o) : NULL;
	int wait_status = 0;
	int r = env ? 0 : nsi_fail(err, ENOMEM, "joining with", o->command[0], NULL);

	exec->env = env;
	if (r == 0)
		r = start(o, e, exec, &p, err);
	if (r == 0 && e->master >= 0) {
		p.pty = nsi_take_fd(&e->master);
		p.recorded = true;
	}
	f->process = &p;
	if (r == 0 && (!loop_watch(f->loop, p.pidfd, POLLIN, process_ended, f) ||
			      !loop_watch(f->loop, e->sock, POLLIN, container_gone, f) || !run(f)))
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

/* That of a directory. */
static int run_in(const struct exec_options *o, int rootfd, struct entry *e, struct front *f,
	struct nsi_exec *exec, struct nsi_error *err)
{
	const struct nsi_question q = {.ask = NSI_ASK_EXEC, .uid = geteuid(), .leader = -1};
	cleanup_fd int lock = -1;
	char id[NSI_ID_SIZE];
	int r = nsi_container_id(rootfd, id, err);

	if (r == 0)
		r = nsi_run_dir(err);
	if (r == 0)
		r = nsi_lock(id, NSI_LOCK_DEADLINE_MS, &lock, err);
	if (r < 0)
		return r;
	r = nsi_control_connect(id, &e->sock, err);
	if (r == 0)
		r = nsi_control_ask(e->sock, &q, &e->reply, e->fds, err);
	if (r == 0) {
		close(nsi_take_fd(&lock));
		return join(o, e, f, exec, err);
	}
	if (!nsi_supervisor_gone(r))
		return r;
	struct container c;
	r = nsi_make_room(id, rootfd, err);
	if (r == 0)
		r = container_load(&c, fcntl(rootfd, F_DUPFD_CLOEXEC, 3), NULL, err);
	if (r == 0) {
		r = spawn(o, &c, &lock, f, exec, err);
		container_free(&c);
	}
	if (lock >= 0) /* nothing was started, and nobody else could: the file is of no more use */
		nsi_lock_remove(id);
	return r;
}

static int decide(const char *name, struct nsi_login *who, struct nsi_error *err)
{
	struct nsi_policy *policy = NULL;
	int r = nsi_policy_load(NSINIT_POLICY, &policy, err);

	if (r == 0)
		r = nsi_user_lookup(name, &who->user, err);
	if (r == 0)
		r = nsi_policy_decide(policy, &who->user, &who->decision, err);
	nsi_policy_free(policy);
	if (r < 0 || who->decision.verdict == NSI_CONTAINER)
		return r;
	nsi_failf(err, ENOENT, "looking for the container of", name, "\"nsinit explain\" tells by which rule",
		"%s",
		who->decision.verdict == NSI_DENY ? "the policy refuses this user"
						  : "the policy leaves this user on the host");
	return nsi_error_reason(err, "policy");
}

/* The recorder stands between us and the command's terminal, which is there before the command is. */
static int record(const struct exec_options *o, const struct nsi_login *who, struct entry *e, struct front *f,
	struct nsi_exec *exec, struct nsi_error *err)
{
	static const struct nsi_origin origin = {.service = "nsinit exec"};
	int pair[NSI_MAX_FDS];
	int r = nsi_record_pair(
		who, &origin, o->command, f->tty, -1, &e->reply, e->fds[NSI_FD_DEVPTS], pair, err);

	if (r < 0 || !f->tty)
		return r;
	e->master = pair[0];
	exec->terminal = pair[1];
	nsi_tty_size_of_ours(e->master, exec->terminal);
	return 0;
}

/* That of a login user: lives, or is started as a login would start it, and its supervisor stays with it. */
static int run_for(const struct exec_options *o, struct entry *e, struct front *f, struct nsi_exec *exec,
	struct nsi_error *err)
{
	struct nsi_question q = {.ask = NSI_ASK_EXEC, .leader = -1};
	cleanup_free struct nsi_login *who = calloc(1, sizeof(*who));

	if (!who)
		return nsi_fail(err, ENOMEM, "looking for the container of", o->owner, NULL);
	if (geteuid() != 0)
		return nsi_failf(err, EPERM, "looking for the container of", o->owner, "run it as root",
			"the containers of logins are root's");
	int r = decide(o->owner, who, err);
	if (r < 0)
		return r;
	q.uid = who->user.uid;
	r = nsi_ensure(who, &q, &e->sock, &e->reply, e->fds, err);
	if (r == 0 && who->decision.recording.tty)
		r = record(o, who, e, f, exec, err);
	return r < 0 ? r : join(o, e, f, exec, err);
}

int front_run(const struct exec_options *o, int rootfd, struct front *f, struct nsi_exec *exec,
	struct nsi_error *err)
{
	cleanup_free struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return nsi_fail(err, ENOMEM, "starting", o->command[0], NULL);
	e->sock = e->master = -1;
	int r = o->owner ? run_for(o, e, f, exec, err) : run_in(o, rootfd, e, f, exec, err);
	if (e->sock >= 0)
		close(e->sock);
	return r;
}
