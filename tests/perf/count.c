/*
 * How many of their own instructions programs execute in user space, and all that they start: step by step,
 * ptrace(2). That needs no counter of the processor's, which virtual machines lack, and no emulator that
 * knows every system call. Only for x86-64.
 *
 *     count OUTPUT FILE[,FILE...] COMMAND...
 *
 * OUTPUT gets a line for each of the files, programs or shared objects without their directories,
 * "memfd:NAME" for one in memory: a number, a space, the file's name. What other files a program is made of,
 * the C library say, runs at full speed as long as it was called from one of these. Whatever is executed that
 * is none of these is let go. The command itself is not: a program that loads one of these. Ends with its
 * status.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_FILES = 16, MAX_RANGES = 32, MAX_PROCESSES = 64, MAX_STOPS = 65536, NAME_SIZE = 64, BREAK = 0xcc };

static struct {
	char name[NAME_SIZE];
	unsigned long long n;
} files[MAX_FILES];
static int n_files;

/* Executable mappings of these files. */
struct range {
	unsigned long first, last;
	int file;
};

static struct process {
	pid_t pid; /* 0: a free place */
	bool own;  /* executes one of the files, and not something that loads one */
	bool inside, started;
	int n_ranges;
	struct range ranges[MAX_RANGES];
	unsigned long armed; /* where it has a break now, or 0 */
	unsigned long seen;  /* the page that was looked up last, and is none of theirs */
} processes[MAX_PROCESSES];

/* Where a break was put, and what stood there. A copy of a process has those of the one that it is a copy of:
 * they are never forgotten. */
static struct {
	unsigned long at;
	unsigned char byte;
} stops[MAX_STOPS];

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "count: %s\n", what);
	exit(3);
}

/* -1: none of them. */
static int file_of(const char *path)
{
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	size_t len = strcspn(name, " \n");
	for (int i = 0; i < n_files; i++)
		if (strlen(files[i].name) == len && strncmp(files[i].name, name, len) == 0)
			return i;
	return -1;
}

static void read_ranges(struct process *p)
{
	char path[64], line[4096], rights[8];
	int at;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)p->pid);
	FILE *f = fopen(path, "r");
	p->n_ranges = 0;
	while (f && fgets(line, sizeof(line), f)) {
		struct range r;

		if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %n", &r.first, &r.last, rights, &at) < 3 ||
			rights[2] != 'x' || line[at] != '/')
			continue;
		r.file = file_of(line + at);
		if (r.file >= 0 && p->n_ranges < MAX_RANGES)
			p->ranges[p->n_ranges++] = r;
	}
	if (f)
		fclose(f);
}

static const struct range *find(struct process *p, unsigned long ip)
{
	for (int i = 0; i < p->n_ranges; i++)
		if (ip >= p->ranges[i].first && ip < p->ranges[i].last)
			return &p->ranges[i];
	return NULL;
}

static const struct range *look_up(struct process *p, unsigned long ip)
{
	const struct range *found = find(p, ip);

	/* What was loaded meanwhile is in the list of mappings only now. */
	if (!found && ip >> 12 != p->seen) {
		p->seen = ip >> 12;
		read_ranges(p);
		found = find(p, ip);
	}
	return found;
}

static struct process *process_of(pid_t pid)
{
	struct process *unused = NULL;

	for (int i = 0; i < MAX_PROCESSES; i++) {
		if (processes[i].pid == pid)
			return &processes[i];
		if (!processes[i].pid)
			unused = &processes[i];
	}
	need(unused, "too many processes");
	memset(unused, 0, sizeof(*unused));
	unused->pid = pid;
	return unused;
}

/* ------------------------------------------------------------------ breaks */

static void poke(pid_t pid, unsigned long at, unsigned char byte, unsigned char *ret_before)
{
	long word = ptrace(PTRACE_PEEKTEXT, pid, at, NULL);

	if (ret_before)
		*ret_before = (unsigned char)word;
	ptrace(PTRACE_POKETEXT, pid, at, (word & ~0xffL) | byte);
}

static size_t place_of(unsigned long at)
{
	size_t i = (at * 2654435761UL) % MAX_STOPS;

	while (stops[i].at && stops[i].at != at)
		i = (i + 1) % MAX_STOPS;
	return i;
}

static void put_break(struct process *p, unsigned long at)
{
	unsigned char before;
	size_t i = place_of(at);

	poke(p->pid, at, BREAK, &before);
	if (before == BREAK)
		return;
	stops[i].at = at;
	stops[i].byte = before;
	p->armed = at;
}

/* If the process has run into one: as if it had not been there. */
static unsigned long leave_break(struct process *p, unsigned long ip)
{
	pid_t pid = p->pid;
	size_t i = place_of(ip - 1);

	if (!stops[i].at || (ptrace(PTRACE_PEEKTEXT, pid, ip - 1, NULL) & 0xff) != BREAK)
		return ip;
	poke(pid, ip - 1, stops[i].byte, NULL);
	p->armed = 0;
	ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rip), ip - 1);
	return ip - 1;
}

/* ------------------------------------------------------------------ steps */

/* How to go on: by one instruction, or until what was called returns. */
static enum __ptrace_request advance(struct process *p)
{
	struct user_regs_struct regs;
	unsigned long back;

	if (ptrace(PTRACE_GETREGS, p->pid, NULL, &regs) < 0)
		return PTRACE_SINGLESTEP;
	unsigned long ip = leave_break(p, regs.rip);
	const struct range *at = look_up(p, ip);
	if (at) {
		files[at->file].n++;
		p->inside = true;
		return PTRACE_SINGLESTEP;
	}
	if (!p->inside)
		return PTRACE_SINGLESTEP;
	p->inside = false;
	back = (unsigned long)ptrace(PTRACE_PEEKDATA, p->pid, regs.rsp, NULL);
	/* A program's first call is that of __libc_start_main(main, ...), which does not return. */
	if (p->own && !p->started)
		back = regs.rdi;
	p->started = true;
	if (!find(p, back))
		return PTRACE_SINGLESTEP;
	put_break(p, back);
	return PTRACE_CONT;
}

/* The loader's work is not counted: on to where the program itself begins. */
static enum __ptrace_request executed(struct process *p, bool first)
{
	char path[64], exe[4096] = "";
	unsigned long entry[2] = {1, 0};

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)p->pid);
	*p = (struct process){.pid = p->pid};
	p->own = readlink(path, exe, sizeof(exe) - 1) > 0 && file_of(exe) >= 0;
	if (!p->own && !first)
		return PTRACE_DETACH;
	snprintf(path, sizeof(path), "/proc/%d/auxv", (int)p->pid);
	FILE *f = fopen(path, "r");
	while (f && entry[0] != 9 /* AT_ENTRY */ && fread(entry, sizeof(entry), 1, f) == 1)
		continue;
	if (f)
		fclose(f);
	need(entry[0] == 9, "no entry");
	put_break(p, entry[1]);
	read_ranges(p);
	return PTRACE_CONT;
}

static void go_on(struct process *p, int status, bool first)
{
	int sig = WSTOPSIG(status), event = status >> 16;
	enum __ptrace_request how = PTRACE_SINGLESTEP;

	if (event == PTRACE_EVENT_EXEC)
		how = executed(p, first);
	else if (!event && sig == SIGTRAP)
		how = advance(p);
	/* A new process begins with SIGSTOP. */
	ptrace(how, p->pid, NULL, event || sig == SIGTRAP || sig == SIGSTOP ? 0 : sig);
	if (how == PTRACE_DETACH)
		p->pid = 0;
}

/* What the first one leaves behind goes on by itself, and runs into no break. */
static void let_go(struct process *p)
{
	int status;

	kill(p->pid, SIGSTOP);
	while (p->pid && waitpid(p->pid, &status, __WALL) == p->pid) {
		if (!WIFSTOPPED(status))
			return;
		if (status >> 16 || WSTOPSIG(status) != SIGSTOP) {
			go_on(p, status, false);
			continue;
		}
		if (p->armed)
			poke(p->pid, p->armed, stops[place_of(p->armed)].byte, NULL);
		ptrace(PTRACE_DETACH, p->pid, NULL, NULL);
		return;
	}
}

/* Until the first one ends. */
static int trace(pid_t first)
{
	int status, began = 0;

	for (;;) {
		pid_t pid = waitpid(-1, &status, __WALL);

		need(pid > 0, "nothing left to wait for");
		struct process *p = process_of(pid);
		if (WIFSTOPPED(status)) {
			go_on(p, status, pid == first && began++ == 0);
			continue;
		}
		p->pid = 0;
		if (pid == first)
			break;
	}
	for (int i = 0; i < MAX_PROCESSES; i++)
		if (processes[i].pid)
			let_go(&processes[i]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void report(const char *path)
{
	FILE *f = fopen(path, "w");

	need(f, "no output");
	for (int i = 0; i < n_files; i++)
		fprintf(f, "%llu %s\n", files[i].n, files[i].name);
	need(fclose(f) == 0, "no output");
}

static void take_names(char *names)
{
	for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
		need(n_files < MAX_FILES && strlen(name) < NAME_SIZE, "too many files");
		strcpy(files[n_files++].name, name);
	}
}

int main(int argc, char **argv)
{
	enum {
		OPTIONS = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC
	};
	cpu_set_t one;
	int status;

	if (argc < 4)
		return 2;
	take_names(argv[2]);
	/* On one processor a step is a switch from one process to another, and no message to another one. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	pid_t pid = fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	need(waitpid(pid, &status, 0) == pid && ptrace(PTRACE_SETOPTIONS, pid, NULL, OPTIONS) == 0,
		"no ptrace");
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	status = trace(pid);
	report(argv[1]);
	return status;
}
