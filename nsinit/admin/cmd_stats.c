/* nsinit stats: what a live container uses, once or again and again. */
#include "../../libcore/act/cgroup.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/str.h"
#include "../../libcore/parse/proc.h"
#include "../commands.h"
#include "../console/emit.h"
#include "../console/options.h"
#include "live.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MAX_VALUES = 24 };

struct value {
	char name[32];
	unsigned long long n;
	double share; /* percent, where `fraction` */
	bool fraction;
};

struct sample {
	int n;
	struct value values[MAX_VALUES];
	double at; /* seconds of CLOCK_MONOTONIC */
};

/* ------------------------------------------------------------------ one sample */

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
};

/* Of a session. */
static const struct {
	const char *name, *file, *line;
} session_numbers[] = {
	{"pids.current", "pids.current", ""},
	{"memory.current", "memory.current", ""},
	{"memory.oom_kill", "memory.events", "oom_kill"},
	{"cpu.usage_usec", "cpu.stat", "usage_usec"},
};

/* `fn` for each group of a session below the container's. */
static void each_session(int dir, void (*fn)(int group, const char *name, void *data), void *data)
{
	int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = again < 0 ? NULL : fdopendir(again);
	const struct dirent *entry;

	if (!list) {
		if (again >= 0)
			close(again);
		return;
	}
	while ((entry = readdir(list))) {
		if (strncmp(entry->d_name, NSI_CGROUP_SESSION, strlen(NSI_CGROUP_SESSION)) != 0)
			continue;
		cleanup_fd int group = openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (group >= 0) /* it may have ended just now */
			fn(group, entry->d_name, data);
	}
	closedir(list);
}

static struct value *add(struct sample *s, const char *name)
{
	static struct value unused;

	if (s->n == MAX_VALUES)
		return &unused;
	struct value *v = &s->values[s->n++];
	*v = (struct value){0};
	snprintf(v->name, sizeof(v->name), "%s", name);
	return v;
}

static void add_share(struct sample *s, const char *name, double share)
{
	struct value *v = add(s, name);

	v->fraction = true;
	v->share = share;
}

static void add_refused(int group, const char *name, void *data)
{
	unsigned long long n, *sum = data;

	(void)name;
	if (nsi_cgroup_number(group, "pids.events", "max", &n))
		*sum += n;
}

/* Until Linux 6.11 only the group of the one who wanted to fork counts it. */
static void take_refused(struct sample *s, int dir)
{
	unsigned long long n, below = 0;

	if (!nsi_cgroup_number(dir, "pids.events", "max", &n))
		return;
	if (faccessat(dir, "pids.events.local", F_OK, 0) < 0) {
		cleanup_fd int own = openat(dir, NSI_CGROUP_OWN, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (own >= 0)
			add_refused(own, NSI_CGROUP_OWN, &below);
		each_session(dir, add_refused, &below);
	}
	add(s, "pids.refused")->n = n + below;
}

static void take_io(struct sample *s, int dir)
{
	static const char *const fields[] = {"rbytes", "wbytes", "rios", "wios"};
	char text[4096], name[24];

	if (nsi_cgroup_read(dir, "io.stat", text, sizeof(text)) < 0)
		return;
	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "io.%s", fields[i]);
		add(s, name)->n = nsi_io_sum(text, fields[i]);
	}
}

/* How much of the last 10 seconds some process had to wait, in percent. */
static void take_pressure(struct sample *s, int dir)
{
	static const char *const kinds[] = {"cpu", "memory", "io"};
	char text[512], file[24], name[32];
	unsigned share;

	for (int i = 0; i < 3; i++) {
		snprintf(file, sizeof(file), "%s.pressure", kinds[i]);
		snprintf(name, sizeof(name), "pressure.%s", kinds[i]);
		if (nsi_cgroup_read(dir, file, text, sizeof(text)) > 0 && nsi_pressure(text, &share))
			add_share(s, name, share / 100.0);
	}
}

static unsigned long long find(const struct sample *s, const char *name)
{
	for (int i = 0; i < s->n; i++)
		if (strcmp(s->values[i].name, name) == 0)
			return s->values[i].n;
	return 0;
}

static void take(struct sample *s, int dir, const struct sample *before)
{
	unsigned long long n;
	struct timespec now;

	s->n = 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	s->at = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (nsi_cgroup_number(dir, numbers[i].file, numbers[i].line, &n))
			add(s, numbers[i].name)->n = n;
	take_refused(s, dir);
	take_io(s, dir);
	take_pressure(s, dir);
	/* Of one processor, since the last sample: what the counter itself does not tell at a glance. */
	if (before && before->n && s->at > before->at)
		add_share(s, "cpu.percent",
			(double)(find(s, "cpu.usage_usec") - find(before, "cpu.usage_usec")) / 1e4 /
				(s->at - before->at));
}

/* ------------------------------------------------------------------ on paper */

static void print_session_line(int group, const char *name, void *data)
{
	unsigned long long n;

	(void)data;
	printf("%-20s", name);
	for (size_t i = 0; i < sizeof(session_numbers) / sizeof(session_numbers[0]); i++)
		if (nsi_cgroup_number(group, session_numbers[i].file, session_numbers[i].line, &n))
			printf(" %s=%llu", session_numbers[i].name, n);
	putchar('\n');
}

static void print_session_object(int group, const char *name, void *data)
{
	struct emit *e = data;
	unsigned long long n;

	emit_open(e, name, '{');
	for (size_t i = 0; i < sizeof(session_numbers) / sizeof(session_numbers[0]); i++)
		if (nsi_cgroup_number(group, session_numbers[i].file, session_numbers[i].line, &n))
			emit_number(e, session_numbers[i].name, (long long)n);
	emit_close(e, '}');
}

static void print_lines(const struct sample *s, int dir)
{
	for (int i = 0; i < s->n; i++) {
		const struct value *v = &s->values[i];

		if (v->fraction)
			printf("%-20s %.2f\n", v->name, v->share);
		else
			printf("%-20s %llu\n", v->name, v->n);
	}
	each_session(dir, print_session_line, NULL);
}

static void print_object(const struct sample *s, int dir)
{
	struct emit e = {0};

	emit_open(&e, NULL, '{');
	for (int i = 0; i < s->n; i++) {
		const struct value *v = &s->values[i];

		if (v->fraction)
			emit_fraction(&e, v->name, v->share);
		else
			emit_number(&e, v->name, (long long)v->n);
	}
	if (faccessat(dir, NSI_CGROUP_OWN, F_OK, 0) == 0) { /* its sessions have groups */
		emit_open(&e, "sessions", '{');
		each_session(dir, print_session_object, &e);
		emit_close(&e, '}');
	}
	emit_close(&e, '}');
}

/* Until the container ends, which is how it is meant to end. */
static int watch(const struct live *live, int dir, int seconds, bool json)
{
	struct pollfd ended = {.fd = live->supervisor, .events = POLLIN};
	bool screen = !json && isatty(STDOUT_FILENO);
	struct sample samples[2] = {0};
	int now = 0;

	do {
		take(&samples[now], dir, &samples[!now]);
		if (samples[now].n == 0)
			break; /* its group is gone already */
		if (screen)
			fputs("\033[H\033[2J", stdout);
		if (json)
			print_object(&samples[now], dir);
		else
			print_lines(&samples[now], dir);
		if (!json && !screen)
			putchar('\n');
		if (fflush(stdout) != 0)
			return NSI_EXIT_FAILED;
		now = !now;
	} while (poll(&ended, 1, seconds * 1000) == 0);
	return 0;
}

static int open_group(const struct live *live, int *ret_dir, struct nsi_error *err)
{
	if (!live->state.cgroup[0])
		return nsi_failf(err, ENOENT, "looking at", live->state.rootfs,
			"give it \"resources\", or the rule \"limits\"", "its container has no cgroup");
	*ret_dir = open(live->state.cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_dir < 0 ? nsi_fail(err, errno, "opening", live->state.cgroup, NULL) : 0;
}

int cmd_stats(int argc, char **argv)
{
	unsigned long long seconds = 2;
	struct options_common o;
	struct live live;
	struct nsi_error err = {0};
	cleanup_fd int dir = -1;
	int status = 0;

	if (!options_parse(argc, argv, "Cjw", 0, &o))
		return NSI_EXIT_FAILED;
	if (o.watch && o.watch[0] && !nsi_parse_number(o.watch, 1, 3600, &seconds)) {
		print_usage("stats");
		return NSI_EXIT_FAILED;
	}
	int r = live_open(o.dir ? o.dir : ".", &live, &err);
	if (r < 0)
		return report(&err);
	r = open_group(&live, &dir, &err);
	if (r == 0 && o.watch) {
		status = watch(&live, dir, (int)seconds, o.json);
	} else if (r == 0) {
		struct sample sample;

		take(&sample, dir, NULL);
		if (o.json)
			print_object(&sample, dir);
		else
			print_lines(&sample, dir);
	}
	live_close(&live);
	return r < 0 ? report(&err) : status;
}
