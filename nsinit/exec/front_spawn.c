#include "front_parts.h"

#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/io.h"
#include "../../libcore/whole/ensure.h"
#include "../container/container.h"
#include "../supervise/server.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* Its end is no reason to end the command, which might not need it any more. */
static void pasta_gone(struct loop *loop, int fd, void *data)
{
	(void)data;
	loop_forget(loop, fd);
	fputs("nsinit: pasta has ended: the container has no network any more\n", stderr);
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

static int start(const struct exec_options *o, struct container *c, int *lock, struct front *f,
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
		r = front_apply(o, c->rootfd, &c->plan->confine, err);
	cleanup_free char **env = front_environment(c->plan->environment, o);
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
	if (!server || !front_stay(f))
		r = nsi_fail(err, ENOMEM, "supervising", o->command[0], NULL);
	f->process = NULL;
	int status = nsi_exit_status(container_end(c));
	server_free(server, status);
	return r < 0 ? r : status;
}

int front_spawn(const struct exec_options *o, const char *id, int rootfd, int *lock, struct front *f,
	struct nsi_exec *exec, struct nsi_error *err)
{
	struct container c;
	int r = nsi_make_room(id, rootfd, err);

	if (r == 0)
		r = container_load(&c, fcntl(rootfd, F_DUPFD_CLOEXEC, 3), NULL, err);
	if (r == 0) {
		r = start(o, &c, lock, f, exec, err);
		container_free(&c);
	}
	if (*lock >= 0) /* nothing was started, and nobody else could: the file is of no more use */
		nsi_lock_remove(id);
	return r;
}
