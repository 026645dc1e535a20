/*
 * nsinit-init: pid 1 of a login container, and of `nsinit exec --init`. Reaps. Statically linked and run from
 * a sealed copy, so that the container can neither replace nor change what runs as its root's first process.
 *
 *     nsinit-init               reap until killed
 *     nsinit-init COMMAND...    run COMMAND too, pass signals on to it, end with its status
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int status_of(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

/* As a shell does: what is neither a program nor begins with #! is a script of /bin/sh. */
static void execute_file(char *path, char **argv)
{
	static char shell[] = "/bin/sh";
	size_t n = 0;

	execv(path, argv);
	if (errno != ENOEXEC)
		return;
	while (argv[n])
		n++;
	char **script = calloc(n + 2, sizeof(*script));
	if (!script)
		return;
	script[0] = shell;
	script[1] = path;
	memcpy(script + 2, argv + 1, n * sizeof(*script));
	execv(shell, script);
}

/* C libraries have different execvp(3): scripts without #!, and where to look without PATH. */
static void execute(char **argv)
{
	const char *dir = getenv("PATH");
	bool denied = false;
	char path[4096];
	size_t len;

	if (strchr(argv[0], '/'))
		return execute_file(argv[0], argv);
	for (dir = dir ? dir : "/bin:/usr/bin";; dir += len + 1) {
		len = strcspn(dir, ":");
		int n = snprintf(path, sizeof(path), "%.*s%s%s", (int)len, dir, len ? "/" : "", argv[0]);
		if (n < (int)sizeof(path) && argv[0][0])
			execute_file(path, argv);
		else
			errno = ENOENT;
		denied = denied || errno == EACCES;
		if (!dir[len] || (errno != EACCES && errno != ENOENT && errno != ENOTDIR))
			break;
	}
	if (denied)
		errno = EACCES;
}

static pid_t start(char **argv, const sigset_t *unblocked)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	setpgid(0, 0);
	tcsetpgrp(0, getpid()); /* SIGTTOU is blocked yet; fails where there is no terminal, which is fine */
	sigprocmask(SIG_SETMASK, unblocked, NULL);
	execute(argv);
	_exit(errno == ENOENT || errno == ENOTDIR ? 127 : 126);
}

static void reap(pid_t command)
{
	int wait_status;
	pid_t pid;

	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0)
		if (pid == command)
			_exit(status_of(wait_status));
	if (pid < 0 && command > 0) /* there is no child, nor will there be a signal */
		_exit(125);
}

int main(int argc, char **argv)
{
	sigset_t all, before;
	pid_t command = 0;

	prctl(PR_SET_NAME, "nsinit-init");
	if (argc == 1)
		prctl(PR_SET_DUMPABLE, 0); /* nobody inside makes it do anything else */
	memset(&all, 0xff, sizeof(all));   /* sigfillset(3) leaves out what the C library has for itself */
	sigprocmask(SIG_SETMASK, &all, &before);
	if (argc > 1) {
		command = start(argv + 1, &before);
		if (command < 0)
			return 125;
	}
	for (;;) {
		int sig = sigwaitinfo(&all, NULL);

		if (sig == SIGCHLD)
			reap(command);
		else if (sig > 0 && command > 0)
			kill(command, sig);
	}
}
