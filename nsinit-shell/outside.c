/* From the host into the container, by the right of the user namespace's owner, user_namespaces(7). */
#include "../libcore/act/tty.h"
#include "../libcore/base/cleanup.h"
#include "../libcore/base/io.h"
#include "../libcore/process/join.h"
#include "../libcore/whole/control.h"
#include "shell.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DOOR_DEADLINE_MS = 10000, BROKER_DEADLINE_MS = 40000 };

struct entry {
	struct nsi_reply reply;
	int fds[NSI_MAX_FDS];
};

static int ask(const char *door, int timeout_ms, struct entry *e, struct nsi_error *err)
{
	cleanup_fd int sock = -1;
	int r = nsi_door_connect(door, &sock, err);

	return r < 0 ? r : nsi_control_answer(sock, timeout_ms, &e->reply, e->fds, err);
}

/*
 * The supervisor answers where somebody with authority (a PAM service) has a session open for us; otherwise
 * the broker decides.
 */
static int ask_for_container(struct entry *e, struct nsi_error *err)
{
	char uid[16];

	snprintf(uid, sizeof(uid), "%u", (unsigned)getuid());
	int r = ask(uid, DOOR_DEADLINE_MS, e, err);
	/* -EACCES: a supervisor was killed before the door became ours. */
	if (r != -EAGAIN && r != -EACCES && !nsi_supervisor_gone(r))
		return r;
	*err = (struct nsi_error){0};
	r = ask(NSI_BROKER, BROKER_DEADLINE_MS, e, err);
	if (r == -ENOENT || r == -ECONNREFUSED) {
		nsi_failf(err, -r, "asking for", "your container", "start nsinitd",
			"no PAM session is open and nsinitd does not run");
		nsi_error_reason(err, "nsinitd");
	}
	return r;
}

static int start(void *data, const struct nsi_exec *exec, struct nsi_process *ret, struct nsi_error *err)
{
	struct entry *e = data;
	const int *recorded = e->reply.terminal ? e->fds + e->reply.terminal : NULL;
	struct nsi_exec with = *exec;

	if (recorded && exec->tty) {
		with.terminal = recorded[1];
		nsi_tty_size_of_ours(recorded[0], recorded[1]);
	}
	int r = nsi_join(&e->reply.confine, e->fds[NSI_FD_PID1], e->fds[NSI_FD_DEVPTS], &with, ret, err);
	if (!recorded)
		return r;
	if (r == 0 && exec->tty) {
		ret->pty = recorded[0];
		ret->recorded = true;
	} else {
		close(recorded[0]);
	}
	close(recorded[1]); /* its end is then seen by the recorder */
	return r;
}

/* sshd runs a forced command through `sh -c`: where the client asked for none, it wants its login shell. */
static bool wants_login_shell(char **argv, char *const *env)
{
	return argv[0][0] != '-' && !argv[1] && env_get(env, "SSH_CONNECTION") &&
	       !env_get(env, "SSH_ORIGINAL_COMMAND");
}

int shell_outside(char **argv, char **env, struct nsi_error *err)
{
	static const char *const own[] = {"HOME", "USER", "LOGNAME", "SHELL", "MAIL", "TERM", NULL};
	static char as_login_shell[] = "-nsinit-shell";
	cleanup_free struct entry *e = calloc(1, sizeof(*e));
	struct nsi_exec exec = {.argv = argv, .image = -1};
	const bool terminal[3] = {isatty(0), isatty(1), isatty(2)};
	char cwd[PATH_MAX];

	if (!e)
		return nsi_fail(err, ENOMEM, "opening", "your container", NULL), -1;
	if (nsi_check_stdio(err) < 0 || ask_for_container(e, err) < 0)
		return -1;
	cleanup_free char **changes = nsi_reply_environment(&e->reply);
	cleanup_free char **merged = changes ? env_merge(env, changes, own) : NULL;
	exec.env = merged;
	exec.image = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (!merged || exec.image < 0)
		return nsi_fail(err, merged ? errno : ENOMEM, "preparing", "your session", NULL), -1;
	if (wants_login_shell(argv, env))
		argv[0] = as_login_shell;
	exec.cwd = getcwd(cwd, sizeof(cwd));
	exec.umask = umask(0);
	umask(exec.umask);
	return shell_run(start, e, terminal, &exec, err);
}
