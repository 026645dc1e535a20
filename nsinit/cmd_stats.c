/* nsinit stats: what a live container uses. nsinit list: which containers live. */
#include "../libcore/act/cgroup.h"
#include "../libcore/base/cleanup.h"
#include "../libcore/base/io.h"
#include "../libcore/parse/proc.h"
#include "../libcore/whole/control.h"
#include "../libcore/whole/state.h"
#include "commands.h"

#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct view {
	bool json;
	int shown;
};

static void print_quoted(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < ' ')
			printf("\\u%04x", (unsigned)*text);
		else
			putchar(*text);
	}
	putchar('"');
}

/* ------------------------------------------------------------------ stats */

static bool number_in(int dir, const char *file, const char *name, unsigned long long *ret)
{
	char text[4096];

	return nsi_cgroup_read(dir, file, text, sizeof(text)) >= 0 && nsi_counter(text, name, ret);
}

static const struct {
	const char *name, *file, *line;
} numbers[] = {
	{"memory.current", "memory.current", ""},
	{"memory.max", "memory.max", ""},
	{"memory.peak", "memory.peak", ""},
	{"memory.swap.current", "memory.swap.current", ""},
	{"memory.oom_kill", "memory.events", "oom_kill"},
	{"cpu.usage_usec", "cpu.stat", "usage_usec"},
	{"cpu.user_usec", "cpu.stat", "user_usec"},
	{"cpu.system_usec", "cpu.stat", "system_usec"},
	{"cpu.throttled_usec", "cpu.stat", "throttled_usec"},
	{"pids.current", "pids.current", ""},
	{"pids.max", "pids.max", ""},
	{"pids.refused", "pids.events", "max"},
};

static void show(struct view *v, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* One line, or one member; the value is a number in either. */
static void show(struct view *v, const char *name, const char *format, ...)
{
	va_list ap;

	if (v->json)
		printf("%s\n  \"%s\": ", v->shown ? "," : "", name);
	else
		printf("%-20s ", name);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	if (!v->json)
		putchar('\n');
	v->shown++;
}

/* Bytes and operations, over all devices: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 ..." */
static void show_io(struct view *v, int dir)
{
	static const char *const fields[] = {"rbytes", "wbytes", "rios", "wios"};
	char text[4096], name[16];

	if (nsi_cgroup_read(dir, "io.stat", text, sizeof(text)) < 0)
		return;
	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "io.%s", fields[i]);
		show(v, name, "%llu", nsi_io_sum(text, fields[i]));
	}
}

/* How much of the last 10 seconds some process had to wait, in percent: "some avg10=0.00 ..." */
static void show_pressure(struct view *v, int dir)
{
	static const char *const kinds[] = {"cpu", "memory", "io"};
	char text[512], file[24], name[32];
	unsigned share;

	for (int i = 0; i < 3; i++) {
		snprintf(file, sizeof(file), "%s.pressure", kinds[i]);
		snprintf(name, sizeof(name), "pressure.%s", kinds[i]);
		if (nsi_cgroup_read(dir, file, text, sizeof(text)) > 0 && nsi_pressure(text, &share))
			show(v, name, "%u.%02u", share / 100, share % 100);
	}
}

static void show_stats(struct view *v, int dir)
{
	unsigned long long n;

	if (v->json)
		putchar('{');
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (number_in(dir, numbers[i].file, numbers[i].line, &n))
			show(v, numbers[i].name, "%llu", n);
	show_io(v, dir);
	show_pressure(v, dir);
	if (v->json)
		puts("\n}");
}

static int find(const char *path, struct nsi_state *state, struct nsi_error *err)
{
	cleanup_fd int rootfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char id[NSI_ID_SIZE];

	if (rootfd < 0)
		return nsi_fail(err, errno, "opening the rootfs directory", path, NULL);
	int r = nsi_container_id(rootfd, id, err);
	if (r < 0)
		return r;
	cleanup_fd int supervisor = -1;
	if (nsi_state_read(id, state, NULL) == 0)
		supervisor = nsi_open_process(state->supervisor, state->supervisor_start);
	if (supervisor < 0)
		return nsi_failf(err, ENOENT, "looking at", path, NULL, "its container does not run");
	if (!state->cgroup[0])
		return nsi_failf(err, ENOENT, "looking at", path,
			"give it \"resources\", or the rule \"limits\"", "its container has no cgroup");
	return 0;
}

int cmd_stats(int argc, char **argv)
{
	static const struct option longs[] = {{"json", no_argument, NULL, 'j'}, {0}};
	const char *path = ".";
	struct view v = {0};
	struct nsi_state state;
	struct nsi_error err = {0};
	int c;

	while ((c = getopt_long(argc, argv, "C:", longs, NULL)) != -1) {
		if (c == 'C')
			path = optarg;
		else if (c == 'j')
			v.json = true;
		else
			optind = argc + 1;
	}
	if (optind != argc) {
		fputs("usage: nsinit stats [-C DIR] [--json]\n", stderr);
		return NSI_EXIT_FAILED;
	}
	if (find(path, &state, &err) < 0)
		return report(&err);
	cleanup_fd int dir = open(state.cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		nsi_fail(&err, errno, "opening", state.cgroup, NULL);
		return report(&err);
	}
	show_stats(&v, dir);
	return 0;
}

/* ------------------------------------------------------------------ list */

/* -1: its supervisor does not tell. */
static int sessions_of(const char *id)
{
	struct nsi_question q = {.ask = NSI_ASK_STATUS, .leader = -1};
	cleanup_free struct nsi_reply *reply = calloc(1, sizeof(*reply));
	cleanup_fd int sock = -1;
	int fds[NSI_MAX_FDS];

	if (!reply || nsi_control_connect(id, &sock, NULL) < 0 ||
		nsi_control_ask(sock, &q, reply, fds, NULL) < 0)
		return -1;
	return (int)reply->sessions;
}

static long long uptime(const struct nsi_state *state)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec - (long long)(state->pid1_start / (uint64_t)sysconf(_SC_CLK_TCK));
}

static void list_json(struct view *v, const char *id, const struct nsi_state *state)
{
	int sessions = sessions_of(id);

	printf("%s\n  {\"id\": ", v->shown ? "," : "");
	print_quoted(id);
	printf(", \"pid1\": %d, \"user\": ", (int)state->pid1);
	print_quoted(state->user);
	printf(", \"uptime\": %lld, \"sessions\": ", uptime(state));
	if (sessions < 0)
		printf("null");
	else
		printf("%d", sessions);
	printf(", \"rootfs\": ");
	print_quoted(state->rootfs);
	printf(", \"cgroup\": ");
	print_quoted(state->cgroup);
	putchar('}');
}

static void list_line(struct view *v, const char *id, const struct nsi_state *state)
{
	int sessions = sessions_of(id);

	if (!v->shown)
		printf("%-18s %8s %-12s %9s %8s %s\n", "ID", "PID", "USER", "UPTIME", "SESSIONS", "ROOTFS");
	printf("%-18s %8d %-12s %8llds ", id, (int)state->pid1, state->user[0] ? state->user : "-",
		uptime(state));
	if (sessions < 0)
		printf("%8s", "?");
	else
		printf("%8d", sessions);
	printf(" %s\n", state->rootfs);
}

static void list_one(struct view *v, const char *id)
{
	struct nsi_state state;

	if (nsi_state_read(id, &state, NULL) < 0)
		return;
	cleanup_fd int supervisor = nsi_open_process(state.supervisor, state.supervisor_start);
	if (supervisor < 0)
		return;
	if (v->json)
		list_json(v, id, &state);
	else
		list_line(v, id, &state);
	v->shown++;
}

int cmd_list(int argc, char **argv)
{
	struct view v = {.json = argc == 2 && strcmp(argv[1], "--json") == 0};
	struct nsi_error err = {0};
	const struct dirent *entry;

	if (argc > 1 + v.json) {
		fputs("usage: nsinit list [--json]\n", stderr);
		return NSI_EXIT_FAILED;
	}
	if (geteuid() != 0) {
		nsi_failf(&err, EPERM, "running", "nsinit list", "run it as root",
			"what lives is root's to see");
		return report(&err);
	}
	DIR *dir = opendir(NSI_RUN_DIR);
	if (v.json)
		putchar('[');
	while (dir && (entry = readdir(dir)))
		if (entry->d_type == DT_DIR && strchr(entry->d_name, '-') && entry->d_name[0] != '.')
			list_one(&v, entry->d_name);
	if (v.json)
		puts(v.shown ? "\n]" : "]");
	if (dir)
		closedir(dir);
	return 0;
}
