/*
 * sshd takes the end of a shell for the end of its output: it reads what is there, and closes. With us in
 * between some of it may still be on its way. So we hold the signal back by which sshd hears of the end,
 * ptrace(2), until all has been passed on, but no longer than some seconds. With us the process ends.
 */
#include "../../libcore/act/proc.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/parse/proc.h"
#include "record.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum { HOLD_MS = 5000 };

int hold_begin(struct recorder *r, int pidfd, struct nsi_error *err)
{
	pid_t pid;

	int res = nsi_pidfd_number(pidfd, &pid);
	if (res == 0 && r->held.pid == pid)
		return 0;
	if (res == 0 && (r->held.pid > 0 || ptrace(PTRACE_SEIZE, pid, 0L, (long)PTRACE_O_EXITKILL) < 0))
		res = r->held.pid > 0 ? -EBUSY : -errno;
	if (res < 0)
		return nsi_fail(err, -res, "holding", "sshd's process at the end of a terminal",
			"see kernel.yama.ptrace_scope, and what else keeps root from ptrace(2)");
	r->held.pid = pid;
	return 0;
}

static void let(struct recorder *r)
{
	loop_timer_cancel(r->loop, &r->held.deadline);
	r->held.owes = false;
	r->held.lets = true;
	kill(r->held.pid, SIGCHLD);
}

void hold_check(struct recorder *r)
{
	if (r->held.owes && slots_passed_on(r))
		let(r);
}

/* A client that takes nothing is no reason to keep the other terminals of its connection from their end. */
static void too_long(struct loop *loop, int fd, void *data)
{
	(void)loop, (void)fd;
	let(data);
}

static void go_on(struct recorder *r, int sig)
{
	ptrace(PTRACE_CONT, r->held.pid, 0L, (long)sig);
}

static bool has_ended(const char *pid)
{
	char path[64], text[512], state = 0;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	char name[32];
	return nsi_stat_name(text, name, sizeof(name), &state) && state == 'Z';
}

/* Children that it has not asked for yet: it does so by the signal alone. 0 where the kernel does not tell.
 */
static int count_ended(pid_t pid)
{
	char path[64], text[4096], *rest = text, *word;
	int ended = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	while ((word = strtok_r(rest, " ", &rest)))
		ended += has_ended(word);
	return ended;
}

static void stopped(struct recorder *r, int sig, int event)
{
	slots_look(r); /* it may be the end of a terminal of which we have not heard yet */
	if (event == PTRACE_EVENT_STOP) {
		bool stays = sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;

		ptrace(stays ? PTRACE_LISTEN : PTRACE_CONT, r->held.pid, 0L, 0L);
	} else if (sig != SIGCHLD || slots_busy(r) == 0 ||
		   (r->held.lets && count_ended(r->held.pid) <= r->held.ended)) {
		r->held.lets &= sig != SIGCHLD;
		go_on(r, sig);
	} else {
		/* Another one may have ended since the terminals were asked: all are asked again. */
		r->held.lets = false;
		r->held.owes = true;
		r->held.ended = count_ended(r->held.pid);
		go_on(r, 0);
		loop_timer_set(r->loop, &r->held.deadline, HOLD_MS, too_long, r);
		slots_ask(r);
		hold_check(r);
	}
}

static void forget(struct recorder *r)
{
	loop_timer_cancel(r->loop, &r->held.deadline);
	r->held.pid = 0;
	r->held.owes = false;
}

void hold_look(struct recorder *r)
{
	int status;

	while (r->held.pid > 0 && waitpid(r->held.pid, &status, WNOHANG | __WALL) > 0) {
		if (WIFSTOPPED(status))
			stopped(r, WSTOPSIG(status), (int)((unsigned)status >> 16));
		else
			forget(r);
	}
}
