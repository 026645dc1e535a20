#include "child.h"

#include "../act/limits.h"
#include "../act/tty.h"
#include "../base/compat.h"
#include "../base/io.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Whoever is root inside sees a process before it executes, and could stop it: nobody waits for that. */
enum { SYNC_DEADLINE_MS = 10000 };

int nsi_sync_send(int sync, enum nsi_sync kind, const int *fds, int n_fds)
{
	struct nsi_sync_record record = {.kind = kind};

	return nsi_send(sync, &record, sizeof(record), fds, n_fds);
}

/* The first `n` of those that were received to `kept`; the rest is closed. */
static void keep_some(const int all[], int kept[], int n)
{
	for (int i = 0; i < NSI_MAX_FDS; i++) {
		if (i < n)
			kept[i] = all[i];
		else if (all[i] >= 0)
			close(all[i]);
	}
}

int nsi_sync_receive(int sync, enum nsi_sync *ret_kind, int fds[], int n_fds, struct nsi_error *err)
{
	struct nsi_sync_record record;
	int all[NSI_MAX_FDS], r;
	ssize_t n = nsi_receive(sync, &record, sizeof(record), all, SYNC_DEADLINE_MS);

	if (n == (ssize_t)sizeof(record) && record.kind != NSI_SYNC_ERROR) {
		keep_some(all, fds, n_fds);
		*ret_kind = record.kind;
		return 1;
	}
	keep_some(all, NULL, 0);
	if (n < 0)
		return nsi_fail(err, (int)-n, "waiting for", "the container's process", NULL);
	if (n == 0)
		return 0;
	if (n != (ssize_t)sizeof(record))
		return nsi_failf(err, EPROTO, "waiting for", "the container's process", NULL, "short record");
	r = nsi_error_accept(&record.err);
	if (err)
		*err = record.err;
	return r;
}

int nsi_sync_expect(int sync, enum nsi_sync kind, int fds[], int n_fds, struct nsi_error *err)
{
	enum nsi_sync got = kind;
	int all[NSI_MAX_FDS];
	int r = nsi_sync_receive(sync, &got, all, NSI_MAX_FDS, err);

	if (r < 0)
		return r;
	if (r == 0)
		return nsi_failf(err, EPIPE, "waiting for", "the container's process", NULL,
			"it ended without a word");
	if (got != kind) {
		keep_some(all, NULL, 0);
		return nsi_failf(
			err, EPROTO, "waiting for", "the container's process", NULL, "unexpected record");
	}
	keep_some(all, fds, n_fds);
	return 0;
}

void nsi_child_fail(int sync, const struct nsi_error *err)
{
	struct nsi_sync_record record = {.kind = NSI_SYNC_ERROR, .err = *err};

	nsi_send(sync, &record, sizeof(record), NULL, 0);
	_exit(err->exit_status);
}

int nsi_close_all_but(const int *kept, size_t n)
{
	int next = 0;

	for (;;) {
		int nearest = -1;

		for (size_t i = 0; i < n; i++)
			if (kept[i] >= next && (nearest < 0 || kept[i] < nearest))
				nearest = kept[i];
		if (nearest < 0)
			break;
		if (nearest > next && nsi_close_range((unsigned)next, (unsigned)nearest - 1, 0) < 0)
			return -errno;
		next = nearest + 1;
	}
	return nsi_close_range((unsigned)next, ~0U, 0) < 0 ? -errno : 0;
}

static void reset_signals(void)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int set_stdio(const struct nsi_exec *exec, int slave, struct nsi_error *err)
{
	int from[3];

	if (exec->tty && nsi_tty_control(slave, err) < 0)
		return -errno;
	/* Out of the way first: a wanted descriptor may itself be 0, 1 or 2. */
	for (int i = 0; i < 3; i++) {
		from[i] = fcntl(exec->stdio[i] < 0 ? slave : exec->stdio[i], F_DUPFD_CLOEXEC, 10);
		if (from[i] < 0)
			return nsi_fail(err, errno, "passing on", "standard input and output", NULL);
	}
	for (int i = 0; i < 3; i++)
		if (dup2(from[i], i) < 0)
			return nsi_fail(err, errno, "passing on", "standard input and output", NULL);
	return 0;
}

static const char *search_path(char *const *env)
{
	for (; *env; env++)
		if (strncmp(*env, "PATH=", 5) == 0)
			return *env + 5;
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* Returns the errno value that describes the failure best. */
static int execute_by_path(const struct nsi_exec *exec)
{
	const char *name = exec->argv[0];
	int best = ENOENT;

	if (strchr(name, '/')) {
		execve(name, exec->argv, exec->env);
		return errno;
	}
	for (const char *dir = search_path(exec->env); *name && *dir;) {
		size_t len = strcspn(dir, ":");
		char path[4096];

		/* An empty or relative element would search the working directory. */
		if (dir[0] == '/' && len + strlen(name) + 2 <= sizeof(path)) {
			snprintf(path, sizeof(path), "%.*s/%s", (int)len, dir, name);
			execve(path, exec->argv, exec->env);
			if (errno != ENOENT && errno != ENOTDIR)
				best = errno;
		}
		dir += len + (dir[len] == ':');
	}
	return best;
}

static void fail_execution(const struct nsi_exec *exec, int code, struct nsi_error *err)
{
	bool missing = code == ENOENT || code == ENOTDIR;

	nsi_fail(err, code, "executing", exec->argv[0],
		code == ENOEXEC ? "it is neither a program of this architecture nor a script with #!"
		: missing       ? "not found in the container"
				: NULL);
	nsi_error_reason(err, "exec");
	err->exit_status = missing ? NSI_EXIT_NOT_FOUND : NSI_EXIT_NOT_EXECUTABLE;
}

void nsi_child_run(const struct nsi_exec *exec, const struct nsi_limits *limits, int slave, int sync,
	const int *fds, int n_fds)
{
	struct nsi_error err = {0};
	int code;

	reset_signals();
	setsid();
	if (set_stdio(exec, slave, &err) < 0)
		nsi_child_fail(sync, &err);
	/* Now, not when it executes: a working directory, or the interpreter of a script, may be a path such
	 * as /proc/self/fd/3, by which the host's directories could be had. */
	int kept[5 + NSI_MAX_FDS] = {0, 1, 2, exec->image, sync};
	for (int i = 0; i < n_fds; i++)
		kept[5 + i] = fds[i];
	if (nsi_close_all_but(kept, 5 + (size_t)n_fds) < 0 ||
		nsi_close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0) {
		nsi_fail(&err, errno, "closing", "the host's descriptors", NULL);
		nsi_child_fail(sync, &err);
	}
	if (exec->cwd)
		(void)!nsi_chdir(exec->cwd);
	/* After the last change of credentials, which would clear it. A parent that is gone already shows as
	 * end of file below. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
		nsi_fail(&err, errno, "binding", "the command to its supervisor", NULL);
		nsi_child_fail(sync, &err);
	}
	if (limits && nsi_set_limits(limits, &err) < 0)
		nsi_child_fail(sync, &err);
	if (nsi_sync_send(sync, NSI_SYNC_READY, fds, n_fds) < 0 ||
		nsi_sync_expect(sync, NSI_SYNC_GO, NULL, 0, &err) < 0)
		_exit(NSI_EXIT_FAILED);
	if (exec->image >= 0) {
		nsi_execveat(exec->image, exec->argv, exec->env);
		code = errno;
	} else {
		code = execute_by_path(exec);
	}
	fail_execution(exec, code, &err);
	nsi_child_fail(sync, &err);
}
