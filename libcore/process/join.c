#include "join.h"

#include "../act/confine.h"
#include "../act/limits.h"
#include "../act/mount.h"
#include "../act/ns.h"
#include "../act/tty.h"
#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/io.h"
#include "child.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { MIDDLE_DEADLINE_MS = 15000 };

/*
 * setns(CLONE_NEWPID) holds for children only, so two forks are needed. Everything is given up in the first,
 * which the container cannot see; the second, visible inside from its first instruction, is a child of our
 * caller (CLONE_PARENT), so that no process is left between the two.
 */
_Noreturn static void middle(
	const struct nsi_confinement *confine, int pidfd, int devpts, const struct nsi_exec *exec, int sync)
{
	int slave = -1, out[2] = {-1, -1};
	struct nsi_error err = {0};
	/* Without privilege by itself; nsinit-shell's has been given it by the supervisor. */
	int r = geteuid() == 0 ? 0 : nsi_set_oom_score(-1, &confine->limits, &err);

	if (r == 0)
		r = nsi_hide_process(&err);
	if (r == 0)
		r = nsi_enter(pidfd, confine->namespaces, &err);
	umask(exec->umask);
	if (r == 0 && exec->tty && exec->terminal > 0) {
		slave = exec->terminal;
		r = nsi_tty_give(slave, confine->uid, &err);
	} else if (r == 0 && exec->tty) {
		r = nsi_tty_open(devpts, confine->uid, &out[1], &slave, &err);
	}
	if (r == 0)
		r = nsi_confine(confine, &err);
	if (r < 0)
		nsi_child_fail(sync, &err);
	/* Whoever is root inside may look at the next process's descriptors before it executes: none is the
	 * host's. */
	const int kept[] = {exec->stdio[0], exec->stdio[1], exec->stdio[2], exec->image, slave, sync, out[1]};
	if (nsi_close_all_but(kept, sizeof(kept) / sizeof(kept[0])) < 0) {
		nsi_fail(&err, errno, "closing", "the host's descriptors", NULL);
		nsi_child_fail(sync, &err);
	}
	pid_t pid = nsi_clone3(CLONE_PARENT, &out[0]);
	if (pid < 0) {
		nsi_fail(&err, errno, "forking into", "the container",
			errno == ENOMEM ? "its pid 1 has ended" : NULL);
		nsi_child_fail(sync, &err);
	}
	if (pid == 0) {
		if (out[1] >= 0)
			close(out[1]);
		nsi_child_run(exec, &confine->limits, slave, sync, NULL, 0);
	}
	nsi_sync_send(sync, NSI_SYNC_STARTED, out, out[1] >= 0 ? 2 : 1);
	_exit(0);
}

/* It takes as long as the container's file system and its kernel take; it waits for nobody. */
static int wait_middle(pid_t pid, int pidfd, struct nsi_error *err)
{
	struct pollfd ended = {.fd = pidfd, .events = POLLIN};
	int n, r = 0;

	do
		n = poll(&ended, 1, MIDDLE_DEADLINE_MS);
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		r = nsi_fail(err, n < 0 ? errno : ETIMEDOUT, "entering", "the container", NULL);
		nsi_pidfd_send_signal(pidfd, SIGKILL);
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	return r;
}

int nsi_join(const struct nsi_confinement *confine, int pidfd, int devpts, const struct nsi_exec *exec,
	struct nsi_process *ret, struct nsi_error *err)
{
	struct nsi_process p = {.pid = -1, .pidfd = -1, .sync = -1, .pty = -1, .devpts = -1};
	int pair[2], middle_fd = -1;
	int r = nsi_raise_limits(&confine->limits, err);

	if (r < 0)
		return nsi_error_reason(err, "join");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return nsi_fail(err, errno, "making", "a socket pair", NULL);
	p.sync = pair[0];
	pid_t pid = nsi_clone3_into(0, exec->cgroup, &middle_fd);
	if (pid == 0) {
		close(pair[0]);
		middle(confine, pidfd, devpts, exec, pair[1]);
	}
	close(pair[1]);
	if (pid < 0) {
		r = nsi_fail(err, errno, "forking", "a process to join with",
			errno == EAGAIN && exec->cgroup > 0 ? "the container's pids.max may be reached"
							    : NULL);
	} else {
		r = wait_middle(pid, middle_fd, err);
		close(middle_fd);
		if (r == 0)
			r = nsi_process_ready(&p, err);
	}
	if (r == 0 && geteuid() == 0)
		r = nsi_set_oom_score(p.pidfd, &confine->limits, err);
	if (r < 0) {
		nsi_process_discard(&p);
		if (err && !err->reason[0])
			nsi_error_reason(err, "join");
		return r;
	}
	*ret = p;
	return 0;
}

int nsi_start(int devpts, const struct nsi_exec *exec, struct nsi_process *ret, struct nsi_error *err)
{
	struct nsi_process p = {.pid = -1, .pidfd = -1, .sync = -1, .pty = -1, .devpts = -1};
	int pair[2], slave = -1, r = 0;

	if (exec->tty)
		r = nsi_tty_open(devpts, 0, &p.pty, &slave, err);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return nsi_fail(err, errno, "making", "a socket pair", NULL);
	p.sync = pair[0];
	p.pid = nsi_clone3(0, &p.pidfd);
	if (p.pid == 0) {
		close(pair[0]);
		nsi_child_run(exec, NULL, slave, pair[1], NULL, 0);
	}
	close(pair[1]);
	if (slave >= 0)
		close(slave);
	r = p.pid < 0 ? nsi_fail(err, errno, "forking", "a process", NULL)
		      : nsi_sync_expect(p.sync, NSI_SYNC_READY, NULL, 0, err);
	if (r < 0) {
		nsi_process_discard(&p);
		return r;
	}
	*ret = p;
	return 0;
}

struct borrowing {
	int pidfd, devpts;
	int tree, r;
	struct nsi_error *err;
};

/* The mount namespace alone: this process stays out of the container's sight, and root of the host. */
static int borrow(void *data)
{
	struct borrowing *b = data;

	b->r = nsi_enter(b->pidfd, CLONE_NEWNS, b->err);
	if (b->r == 0)
		b->r = nsi_mount_detached(b->devpts, &b->tree, b->err);
	return 0;
}

int nsi_borrow_terminals(int pidfd, int devpts, int *ret_tree, struct nsi_error *err)
{
	struct borrowing b = {.pidfd = pidfd, .devpts = devpts, .tree = -1, .r = -ECHILD, .err = err};
	int r = nsi_run_apart(borrow, &b);

	if (r < 0)
		return nsi_fail(err, -r, "forking", "a process to fetch the terminals with", NULL);
	if (b.r == -ECHILD) /* it was killed */
		return nsi_fail(err, ECHILD, "waiting for", "the process that fetches the terminals", NULL);
	if (b.r == 0)
		*ret_tree = b.tree;
	return b.r;
}
