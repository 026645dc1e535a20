/*
 * Look, as fast as it goes, at every process that can be seen: its descriptors, its root directory, its
 * namespaces, its memory. What could be had is printed, once each: "COMMAND WHAT". racer SECONDS MARK [take],
 * where MARK exists on the host only; with "take", copies of its descriptors are fetched too, also by force.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char (*seen)[160]; /* shared with the children */
static unsigned long looks;

static void say(const char *name, const char *what, const char *value)
{
	char line[160];

	snprintf(line, sizeof(line), "%s %s %s", name, what, value);
	for (size_t i = 0; i < 512; i++) {
		if (strcmp(seen[i], line) == 0)
			return;
		if (!seen[i][0]) {
			strcpy(seen[i], line);
			puts(line);
			fflush(stdout);
			return;
		}
	}
}

static int read_name(int dir, char name[32])
{
	int fd = openat(dir, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, name, 31);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return -1;
	name[n - 1] = '\0';
	return 0;
}

static void look_at_descriptors(int dir, const char *name)
{
	char path[32], target[128];

	for (int i = 0; i < 24; i++) {
		snprintf(path, sizeof(path), "fd/%d", i);
		ssize_t n = readlinkat(dir, path, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = '\0';
		target[strcspn(target, "[")] = '\0'; /* the number of a pipe */
		say(name, "fd", target);
	}
}

static void enter(int pid, const char *name, const char *mark)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (pidfd >= 0 && setns(pidfd, CLONE_NEWUSER | CLONE_NEWNS) == 0)
		say(name, "entered", access(mark, F_OK) == 0 ? "host" : "container");
	_exit(0);
}

static void take(int pid, const char *name, const char *mark)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	bool seized = ptrace(PTRACE_SEIZE, pid, 0, 0) == 0;

	if (seized)
		say(name, "seized", "");
	for (int i = 0; i < 24; i++) {
		int fd = (int)syscall(SYS_pidfd_getfd, pidfd, i, 0);
		if (fd < 0)
			continue;
		if (faccessat(fd, mark + 1, F_OK, 0) == 0)
			say(name, "took", "host");
		close(fd);
	}
	if (seized)
		ptrace(PTRACE_DETACH, pid, 0, 0);
	_exit(0);
}

static void look(int pid, const char *mark, int how)
{
	char path[64], name[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || read_name(dir, name) < 0) {
		if (dir >= 0)
			close(dir);
		return;
	}
	looks++;
	if (strncmp(name, "nsinit", 6) == 0) {
		if (how == 0)
			look_at_descriptors(dir, name);
		snprintf(path, sizeof(path), "root%s", mark);
		if (how == 0 && faccessat(dir, path, F_OK, 0) == 0)
			say(name, "root", "host");
		int mem = how == 0 ? openat(dir, "mem", O_RDWR | O_CLOEXEC) : -1;
		if (mem >= 0) {
			say(name, "mem", "opened");
			close(mem);
		}
		if (how > 0) {
			pid_t child = fork();
			if (child == 0)
				(how == 1 ? enter : take)(pid, name, mark);
			waitpid(child, NULL, 0);
		}
	}
	close(dir);
}

int main(int argc, char **argv)
{
	struct timespec t;

	seen = mmap(NULL, 512 * sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (argc < 3 || seen == MAP_FAILED)
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &t);
	time_t end = t.tv_sec + atoi(argv[1]);
	int how = fork() == 0; /* two of them: one looks, one enters */
	if (how == 0 && argc > 3 && fork() == 0)
		how = 2;
	while (t.tv_sec < end) {
		DIR *proc = opendir("/proc");
		struct dirent *e;

		while (proc && (e = readdir(proc)))
			if (atoi(e->d_name) > 0)
				look(atoi(e->d_name), argv[2], how);
		closedir(proc);
		clock_gettime(CLOCK_MONOTONIC, &t);
	}
	printf("looks %s\n", looks > 1000 ? "many" : "few");
	fflush(stdout);
	while (how == 0 && wait(NULL) > 0)
		continue;
	return 0;
}
