#include "../../libcore/act/proc.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/str.h"
#include "../../libcore/process/join.h"
#include "../../libcore/whole/control.h"
#include "../../libcore/whole/ensure.h"
#include "../../libcore/whole/state.h"
#include "../container/image.h"
#include "front_parts.h"

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

char **front_environment(char *const *base, const struct exec_options *o)
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

int front_apply(
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

bool front_stay(struct front *f)
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

static int start(const struct exec_options *o, struct entry *e, struct nsi_exec *exec,
	struct nsi_process *ret, struct nsi_error *err)
{
	const struct nsi_reply *reply = &e->reply;
	cleanup_fd int root = -1;
	int r = o->user ? open_inside(e->fds[NSI_FD_PID1], &root, err) : 0;

	exec->argv = o->command;
	exec->cgroup = reply->cgroup > 0 && reply->cgroup < NSI_MAX_FDS ? e->fds[reply->cgroup] : -1;
	if (r == 0)
		r = front_apply(o, root, &e->reply.confine, err);
	if (r == 0)
		r = nsi_join(&reply->confine, e->fds[NSI_FD_PID1], e->fds[NSI_FD_DEVPTS], exec, ret, err);
	if (exec->terminal > 0)
		close(exec->terminal); /* its end is then seen by the recorder */
	return r < 0 ? r : nsi_process_go(ret, err);
}

int front_join(const struct exec_options *o, struct entry *e, struct front *f, struct nsi_exec *exec,
	struct nsi_error *err)
{
	struct nsi_process p = {.pid = -1, .pidfd = -1, .sync = -1, .pty = -1, .devpts = -1};
	cleanup_free char **base = nsi_reply_environment(&e->reply);
	cleanup_free char **env = base ? front_environment(base, o) : NULL;
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
			      !loop_watch(f->loop, e->sock, POLLIN, container_gone, f) || !front_stay(f)))
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
		return front_join(o, e, f, exec, err);
	}
	return nsi_supervisor_gone(r) ? front_spawn(o, id, rootfd, &lock, f, exec, err) : r;
}

int front_run(const struct exec_options *o, int rootfd, struct front *f, struct nsi_exec *exec,
	struct nsi_error *err)
{
	cleanup_free struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return nsi_fail(err, ENOMEM, "starting", o->command[0], NULL);
	e->sock = e->master = -1;
	int r = o->owner ? front_for(o, e, f, exec, err) : run_in(o, rootfd, e, f, exec, err);
	if (e->sock >= 0)
		close(e->sock);
	return r;
}
