/*
 * Run a program, and let one system call of one of its processes fail. It does what strace --inject does,
 * which cannot be told in which process.
 *
 *     inject [-w] [-s SECONDS] [-l LIST] [-a PROCESS:CALL:N:WHAT] PROGRAM [ARGUMENT...]
 *
 *     -l LIST    write down every call that could fail: "PROCESS CALL N PATH"
 *     -a ...     WHAT is "kill", an errno number, or "=VALUE" for a result; LIST says "hit" when it has
 * happened -w         in nsinit's own programs, from their start; otherwise between the marks that pam_mark.c
 * sets -s         end all of them after that time (default 60), with status 124
 *
 * A PROCESS is "0", "0.1" for its first child, "0.1.2" for the second child of that. N counts the calls of
 * that name in it, from 1. Who executes a program that is not nsinit's is let go. Ends when all have ended,
 * with the status of PROGRAM. x86-64 only.
 */
#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mark.h"

enum { MAX_PROCESSES = 256, MAX_CALL = 512, FAILED = 125, TIMED_OUT = 124 };

struct process {
	pid_t pid; /* 0: a free place */
	char name[64];
	int children;
	bool counted; /* its calls are, at the moment */
	bool seen;    /* they have been once */
	bool waits;   /* it has stopped before its parent's word of it came */
	bool failing; /* the result of the present call is to be replaced */
	int counts[MAX_CALL];
};

static struct process processes[MAX_PROCESSES];
static FILE *list;
static bool whole; /* -w */
static struct {
	char process[64];
	long call;
	int n;
	bool kill;
	long result;
	bool wanted, hit;
} fault;
static volatile sig_atomic_t late;

static void die(const char *what)
{
	perror(what);
	exit(FAILED);
}

static struct process *find(pid_t pid)
{
	for (int i = 0; i < MAX_PROCESSES; i++)
		if (processes[i].pid == pid)
			return &processes[i];
	return NULL;
}

static struct process *add(pid_t pid, const char *name)
{
	struct process *p = find(0);

	if (!p) {
		errno = EAGAIN;
		die("too many processes");
	}
	*p = (struct process){.pid = pid};
	snprintf(p->name, sizeof(p->name), "%s", name);
	return p;
}

/* ------------------------------------------------------------------ which call */

static long call_number(const char *name)
{
	int nr = seccomp_syscall_resolve_name(name);

	if (nr < 0) {
		fprintf(stderr, "inject: no system call is named %s\n", name);
		exit(FAILED);
	}
	return nr;
}

static void read_fault(char *text)
{
	char *process = strtok(text, ":"), *call = strtok(NULL, ":"), *n = strtok(NULL, ":");
	const char *what = strtok(NULL, ":");

	if (!what) {
		fputs("inject: -a PROCESS:CALL:N:WHAT\n", stderr);
		exit(FAILED);
	}
	snprintf(fault.process, sizeof(fault.process), "%s", process);
	fault.call = call_number(call);
	fault.n = atoi(n);
	fault.kill = strcmp(what, "kill") == 0;
	fault.result = *what == '=' ? atol(what + 1) : -atol(what);
	fault.wanted = true;
}

/* Its calls, or those of a descendant, are still of interest. */
static bool concerns(const struct process *p)
{
	size_t len = strlen(p->name);

	return !fault.wanted || (!fault.hit && strncmp(fault.process, p->name, len) == 0 &&
					(fault.process[len] == '.' || !fault.process[len]));
}

/* The path that a call names, for people. */
static void read_path(pid_t pid, const struct __ptrace_syscall_info *info, char text[128])
{
	static const struct {
		int call, argument;
	} paths[] = {{SYS_open, 0}, {SYS_openat, 1}, {SYS_openat2, 1}, {SYS_unlink, 0}, {SYS_unlinkat, 1},
		{SYS_mkdir, 0}, {SYS_mkdirat, 1}, {SYS_rmdir, 0}, {SYS_newfstatat, 1}, {SYS_readlink, 0},
		{SYS_access, 0}, {SYS_execve, 0}, {SYS_rename, 0}, {SYS_chmod, 0}, {SYS_statfs, 0}};

	text[0] = '\0';
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if ((long)info->entry.nr != paths[i].call)
			continue;
		struct iovec ours = {text, 127};
		struct iovec theirs = {(void *)(uintptr_t)info->entry.args[paths[i].argument], 127};
		ssize_t n = process_vm_readv(pid, &ours, 1, &theirs, 1, 0);
		text[n > 0 ? n : 0] = '\0';
	}
}

static void write_down(const struct process *p, const struct __ptrace_syscall_info *info, const char *how)
{
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)info->entry.nr), path[128];

	if (!list)
		return;
	read_path(p->pid, info, path);
	fprintf(list, "%s%s %s %d %s\n", how, p->name, name ? name : "?", p->counts[info->entry.nr], path);
	fflush(list);
	free(name);
}

/* ------------------------------------------------------------------ what happens */

static void set_registers(pid_t pid, bool entering, long value)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) < 0)
		return;
	if (entering)
		regs.orig_rax = (unsigned long long)value; /* -1: no call at all */
	else
		regs.rax = (unsigned long long)value;
	ptrace(PTRACE_SETREGS, pid, NULL, &regs);
}

static void entering(struct process *p, const struct __ptrace_syscall_info *info)
{
	if (info->entry.nr == MARK_CALL) {
		p->counted = info->entry.args[0] != 0;
		p->seen = true;
	}
	if (!p->counted || info->entry.nr >= MAX_CALL)
		return;
	p->counts[info->entry.nr]++;
	if (!fault.wanted)
		return write_down(p, info, "");
	if (fault.hit || (long)info->entry.nr != fault.call || p->counts[info->entry.nr] != fault.n ||
		strcmp(p->name, fault.process) != 0)
		return;
	fault.hit = true;
	write_down(p, info, "hit ");
	if (fault.kill) {
		kill(p->pid, SIGKILL);
	} else {
		p->failing = true;
		if (fault.call != SYS_close) /* whatever it returns, the descriptor is gone, close(2) */
			set_registers(p->pid, true, -1);
	}
}

static void at_call(struct process *p)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, p->pid, sizeof(info), &info) <= 0)
		return;
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
		entering(p, &info);
	} else if (info.op == PTRACE_SYSCALL_INFO_EXIT && p->failing) {
		p->failing = false;
		set_registers(p->pid, false, fault.result);
	}
}

static void resume(struct process *p, int sig)
{
	/* Who is of no interest stops only for the forks and executions that follow. */
	ptrace(concerns(p) || p->failing ? PTRACE_SYSCALL : PTRACE_CONT, p->pid, NULL, (void *)(long)sig);
}

static void forked(struct process *parent)
{
	unsigned long pid = 0;
	char name[64];

	ptrace(PTRACE_GETEVENTMSG, parent->pid, NULL, &pid);
	snprintf(name, sizeof(name), "%.50s.%d", parent->name, ++parent->children);
	struct process *child = find((pid_t)pid);
	if (!child)
		child = add((pid_t)pid, name);
	else
		strcpy(child->name, name);
	child->counted = parent->counted;
	child->seen = parent->seen;
	if (child->waits)
		resume(child, 0);
	child->waits = false;
}

/* Whether it goes on to be traced. */
static bool executed(struct process *p)
{
	char link[40], path[256];

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)p->pid);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	const char *base = strrchr(path, '/');
	bool own = base && (strncmp(base, "/nsinit", 7) == 0 || strncmp(base, "/memfd:nsinit", 13) == 0);
	if (own && whole)
		p->counted = p->seen = true;
	if (own || !p->seen)
		return true;
	ptrace(PTRACE_DETACH, p->pid, NULL, NULL);
	p->pid = 0;
	return false;
}

/* An init that is traced does not die of it, as it does otherwise: it would fail at the same place for ever.
 */
static bool crashed(const struct process *p, int sig)
{
	bool crash = sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE || sig == SIGABRT;

	if (crash && p->counted && list)
		fprintf(list, "crash %s %s\n", p->name, strsignal(sig));
	return crash;
}

static void stopped(pid_t pid, int status)
{
	struct process *p = find(pid);
	int event = status >> 16, sig = WSTOPSIG(status);

	if (!p) { /* a child, before its parent's word */
		add(pid, "?")->waits = true;
		return;
	}
	if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
		forked(p);
	} else if (event == PTRACE_EVENT_EXEC) {
		if (!executed(p))
			return;
	} else if (event == PTRACE_EVENT_STOP) {
		if (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU) {
			ptrace(PTRACE_LISTEN, pid, NULL, NULL);
			return;
		}
	} else if (sig == (SIGTRAP | 0x80)) {
		at_call(p);
	} else {
		return resume(p, crashed(p, sig) ? SIGKILL : sig);
	}
	resume(p, 0);
}

static void too_late(int sig)
{
	(void)sig;
	late = 1;
}

/* Ended by our end, PTRACE_O_EXITKILL. */
static void give_up(void)
{
	for (int i = 0; i < MAX_PROCESSES; i++)
		if (processes[i].pid && list)
			fprintf(list, "left %s %d\n", processes[i].name, (int)processes[i].pid);
	exit(TIMED_OUT);
}

static int follow(pid_t first)
{
	int status, result = FAILED;

	for (;;) {
		pid_t pid = waitpid(-1, &status, __WALL);

		if (late)
			give_up();
		if (pid < 0 && errno == ECHILD)
			return result;
		if (pid < 0)
			continue;
		if (WIFSTOPPED(status)) {
			stopped(pid, status);
			continue;
		}
		if (pid == first)
			result = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		struct process *p = find(pid);
		if (p)
			p->pid = 0;
	}
}

static pid_t start(char **argv)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		raise(SIGSTOP);
		execvp(argv[0], argv);
		die(argv[0]);
	}
	waitpid(pid, NULL, WUNTRACED);
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
		       PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
	if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)options) < 0)
		die("tracing");
	return pid;
}

int main(int argc, char **argv)
{
	unsigned seconds = 60;
	int c;

	while ((c = getopt(argc, argv, "+wl:a:s:")) != -1) {
		if (c == 'w')
			whole = true;
		else if (c == 's')
			seconds = (unsigned)atoi(optarg);
		else if (c == 'a')
			read_fault(optarg);
		else if (c != 'l' || !(list = fopen(optarg, "we")))
			die("-l");
	}
	if (optind == argc)
		return FAILED;
	pid_t first = start(argv + optind);
	add(first, "0");
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = too_late}, NULL);
	alarm(seconds);
	kill(first, SIGCONT);
	return follow(first);
}
