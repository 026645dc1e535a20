#define _GNU_SOURCE
#include "state.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct state {
	char **lines;
	size_t n, room;
};

static int proc = -1;

void state_begin(void)
{
	proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		abort();
}

__attribute__((format(printf, 2, 3))) static void add(struct state *s, const char *format, ...)
{
	va_list ap;

	if (s->n == s->room) {
		s->room = s->room ? 2 * s->room : 512;
		s->lines = realloc(s->lines, s->room * sizeof(*s->lines));
	}
	va_start(ap, format);
	if (!s->lines || vasprintf(&s->lines[s->n++], format, ap) < 0)
		abort();
	va_end(ap);
}

/* All of a file of /proc, NULL where there is none. The descriptor is closed before anything is looked at. */
static char *slurp(const char *path)
{
	int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	size_t len = 0, room = 1 << 18;
	char *text = fd < 0 ? NULL : malloc(room);
	ssize_t n;

	while (text && (n = read(fd, text + len, room - len - 1)) > 0) {
		len += (size_t)n;
		if (len > room / 2)
			text = realloc(text, room *= 2);
	}
	if (text)
		text[len] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

static void add_file(struct state *s, const char *topic, const char *path)
{
	char *text = slurp(path), *save = NULL;

	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save))
		add(s, "%s %s", topic, line);
	free(text);
}

static void add_link(struct state *s, const char *topic, const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(proc, path, target, sizeof(target) - 1);

	if (n >= 0)
		add(s, "%s %.*s", topic, (int)n, target);
}

/* Numbers of the entries of a directory of /proc; the directory's own descriptor is not in it. */
static size_t list(const char *path, int numbers[], size_t max)
{
	int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	size_t n = 0;

	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.' && atoi(e->d_name) != fd && n < max)
			numbers[n++] = atoi(e->d_name);
	if (dir)
		closedir(dir);
	return n;
}

static void add_descriptors(struct state *s)
{
	int fds[1024];
	size_t n = list("self/fd", fds, 1024);

	for (size_t i = 0; i < n; i++) {
		char path[40], topic[80];

		snprintf(path, sizeof(path), "self/fd/%d", fds[i]);
		snprintf(topic, sizeof(topic), "fd %d flags=%x/%x", fds[i], fcntl(fds[i], F_GETFD),
			fcntl(fds[i], F_GETFL));
		add_link(s, topic, path);
	}
}

static void add_signals(struct state *s)
{
	for (int sig = 1; sig < NSIG; sig++) {
		struct sigaction a;
		sigset_t none;

		if (sigaction(sig, NULL, &a) < 0)
			continue;
		sigemptyset(&none);
		add(s, "signal %d handler=%p flags=%x mask=%s", sig, (void *)a.sa_handler,
			(unsigned)a.sa_flags, memcmp(&a.sa_mask, &none, 8) ? "some" : "none");
	}
}

/* Ids, capabilities, groups, masks and pending signals; not what grows and counts by itself. */
static void add_status(struct state *s)
{
	static const char *const skipped[] = {
		"Vm", "Rss", "Huge", "SigQ", "voluntary", "nonvoluntary", "State", NULL};
	char *text = slurp("thread-self/status"), *save = NULL;

	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line;
		line = strtok_r(NULL, "\n", &save)) {
		bool skip = false;

		for (size_t i = 0; skipped[i]; i++)
			skip |= strncmp(line, skipped[i], strlen(skipped[i])) == 0;
		if (!skip)
			add(s, "status %s", line);
	}
	free(text);
}

static void add_directory(struct state *s, const char *topic, const char *path)
{
	struct statx st;

	if (statx(proc, path, 0, STATX_INO | STATX_MNT_ID, &st) == 0)
		add(s, "%s %x:%x:%llu mount=%llu", topic, st.stx_dev_major, st.stx_dev_minor,
			(unsigned long long)st.stx_ino, (unsigned long long)st.stx_mnt_id);
}

/* Each thread has namespaces of its own, and a root and working directory where they are not shared. */
static void add_threads(struct state *s)
{
	static const char *const spaces[] = {
		"cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "user", "uts"};
	int tids[256];
	size_t n = list("self/task", tids, 256);

	for (size_t i = 0; i < n; i++) {
		const char *who = tids[i] == (int)syscall(SYS_gettid) ? "this" : "other";
		char path[80], topic[80];

		snprintf(topic, sizeof(topic), "cwd %s %zu", who, i);
		snprintf(path, sizeof(path), "self/task/%d/cwd", tids[i]);
		add_directory(s, topic, path);
		snprintf(topic, sizeof(topic), "root %s %zu", who, i);
		snprintf(path, sizeof(path), "self/task/%d/root", tids[i]);
		add_directory(s, topic, path);
		for (size_t k = 0; k < sizeof(spaces) / sizeof(spaces[0]); k++) {
			snprintf(topic, sizeof(topic), "namespace %s %zu", who, i);
			snprintf(path, sizeof(path), "self/task/%d/ns/%s", tids[i], spaces[k]);
			add_link(s, topic, path);
		}
	}
}

static void add_limits(struct state *s)
{
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit l;

		if (getrlimit(i, &l) == 0)
			add(s, "limit %d %llu %llu", i, (unsigned long long)l.rlim_cur,
				(unsigned long long)l.rlim_max);
	}
}

static void add_attributes(struct state *s)
{
	int parent_death = -1, reaper = -1;
	cpu_set_t cpus;

	prctl(PR_GET_PDEATHSIG, &parent_death);
	prctl(PR_GET_CHILD_SUBREAPER, &reaper);
	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	add(s, "attribute securebits=%x", (unsigned)prctl(PR_GET_SECUREBITS));
	add(s, "attribute dumpable=%d", prctl(PR_GET_DUMPABLE));
	add(s, "attribute keepcaps=%d", prctl(PR_GET_KEEPCAPS));
	add(s, "attribute parent-death-signal=%d", parent_death);
	add(s, "attribute subreaper=%d", reaper);
	add(s, "attribute timerslack=%d", prctl(PR_GET_TIMERSLACK));
	add(s, "attribute personality=%x", (unsigned)personality(0xffffffff));
	add(s, "attribute nice=%d", getpriority(PRIO_PROCESS, 0));
	add(s, "attribute scheduler=%d", sched_getscheduler(0));
	add(s, "attribute ioprio=%ld", syscall(SYS_ioprio_get, 1, 0));
	add(s, "attribute cpus=%d", CPU_COUNT(&cpus));
	add(s, "attribute session=%d group=%d", (int)getsid(0), (int)getpgrp());
	add_file(s, "attribute oom", "self/oom_score_adj");
	add_file(s, "attribute loginuid", "self/loginuid");
	add_file(s, "attribute cgroup", "thread-self/cgroup");
	add_file(s, "attribute coredump", "self/coredump_filter");
	add_file(s, "attribute name", "thread-self/comm");
	for (int ring = KEY_SPEC_SESSION_KEYRING; ring <= KEY_SPEC_THREAD_KEYRING; ring++)
		add(s, "keyring %d %lx", ring, syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, ring, 0));
}

static void add_children(struct state *s)
{
	siginfo_t info = {0};
	int tids[256];
	size_t n = list("self/task", tids, 256);

	for (size_t i = 0; i < n; i++) {
		char path[80];

		snprintf(path, sizeof(path), "self/task/%d/children", tids[i]);
		add_file(s, "child", path);
	}
	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 && info.si_pid > 0)
		add(s, "zombie %d", (int)info.si_pid);
}

static void add_timers(struct state *s)
{
	for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
		struct itimerval t;

		if (getitimer((__itimer_which_t)which, &t) == 0)
			add(s, "timer %d %s", which,
				t.it_value.tv_sec || t.it_value.tv_usec ? "runs" : "none");
	}
	add_file(s, "timer", "self/timers");
}

static void add_environment(struct state *s)
{
	for (char **e = environ; e && *e; e++)
		add(s, "environment %p %s", (void *)*e, *e);
	add(s, "locale %s %s", setlocale(LC_ALL, NULL),
		uselocale(NULL) == LC_GLOBAL_LOCALE ? "global" : "own");
}

/* Files that are mapped, each once, and memory that both is nobody's file and can be executed. */
static void add_maps(struct state *s)
{
	char *text = slurp("self/maps"), *save = NULL, last[PATH_MAX] = "";

	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line;
		line = strtok_r(NULL, "\n", &save)) {
		char permissions[8] = "", name[PATH_MAX] = "";

		sscanf(line, "%*s %7s %*s %*s %*s %4095[^\n]", permissions, name);
		if (name[0] == '/' && strcmp(name, last) != 0)
			add(s, "map %s", name);
		else if (!name[0] && permissions[2] == 'x')
			add(s, "map executable memory %s", permissions);
		strcpy(last, name);
	}
	free(text);
}

static int order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct state *state_take(void)
{
	struct state *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	add_descriptors(s);
	add_signals(s);
	add_status(s);
	add_threads(s);
	add_limits(s);
	add_attributes(s);
	add_children(s);
	add_timers(s);
	add_environment(s);
	add_maps(s);
	add_file(s, "mount", "thread-self/mountinfo");
	qsort(s->lines, s->n, sizeof(*s->lines), order);
	return s;
}

void state_compare(const struct state *before, const struct state *after, const char *label)
{
	size_t i = 0, k = 0;

	while (i < before->n || k < after->n) {
		int c = i == before->n ? 1 : k == after->n ? -1 : strcmp(before->lines[i], after->lines[k]);

		if (c < 0)
			printf("%s - %s\n", label, before->lines[i++]);
		else if (c > 0)
			printf("%s + %s\n", label, after->lines[k++]);
		else
			i++, k++;
	}
}

void state_free(struct state *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->lines[i]);
	free(s->lines);
	free(s);
}
