/* nsinit status: whether the container of a directory lives, and how. Exit status as systemctl(1) has it. */
#include "../../libcore/base/compat.h"
#include "../../libcore/parse/resources.h"
#include "../../libcore/whole/control.h"
#include "../commands.h"
#include "../console/emit.h"
#include "../console/options.h"
#include "../console/show.h"
#include "live.h"

#include <stdio.h>
#include <string.h>

enum { EXIT_NOT_LIVE = 3 };

static const struct {
	uint64_t flag;
	const char *name;
} kinds[] = {{CLONE_NEWNS, "mount"}, {CLONE_NEWPID, "pid"}, {CLONE_NEWIPC, "ipc"}, {CLONE_NEWUTS, "uts"},
	{CLONE_NEWNET, "network"}, {CLONE_NEWUSER, "user"}, {CLONE_NEWCGROUP, "cgroup"}};

enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static const char *end_text(const struct nsi_status *s, char *buf, size_t size)
{
	char max[64] = "", when[24];

	if (s->max_age)
		snprintf(max, sizeof(max), ", at the latest at the age of %s",
			duration_text(s->max_age, when, sizeof(when)));
	if (!s->login)
		snprintf(buf, size, "with its command");
	else if (s->lifetime == NSI_LIFETIME_FOREVER)
		snprintf(buf, size, "never by itself%s", max);
	else if (s->lifetime == NSI_LIFETIME_LINGER)
		snprintf(buf, size, "%d s after the last session and process%s", s->idle, max);
	else if (s->lifetime > 0)
		snprintf(buf, size, "%d s after the last session%s", s->lifetime, max);
	else
		snprintf(buf, size, "with the last session%s", max);
	return buf;
}

static const char *state_word(const struct nsi_status *s)
{
	return s->paused ? "paused" : "running";
}

static void print_table(const struct live *live, const struct nsi_status *s)
{
	char text[512], age[24];
	bool exact;

	print_text(live->state.rootfs);
	printf(": %s\n", state_word(s));
	printf("id:          %s\n", live->id);
	if (s->login)
		printf("user:        %s\n", live->state.user);
	printf("pid:         %d\nsupervisor:  %d\n", (int)live->state.pid1, (int)live->state.supervisor);
	printf("since:       %s (%s)\n", since_text(live_age(live), text, sizeof(text)),
		duration_text(live_age(live), age, sizeof(age)));
	if (s->max_sessions)
		snprintf(age, sizeof(age), " of at most %d", s->max_sessions);
	printf("sessions:    %u%s\n", s->sessions, s->max_sessions ? age : "");
	printf("ends:        %s\n", end_text(s, text, sizeof(text)));
	size_text(live_memory(live, &exact), age, sizeof(age));
	printf("memory:      %s%s\n", age, exact ? "" : ", summed over processes");
	printf("limits:      %s\n",
		s->resources.set ? nsi_resources_text(&s->resources, text, sizeof(text)) : "none");
	if (s->session_resources.set)
		printf("a session:   %s\n", nsi_resources_text(&s->session_resources, text, sizeof(text)));
	if (s->not_kept[0])
		printf("not kept:    %s, for lack of a controller\n", s->not_kept);
	if (live->state.cgroup[0])
		printf("cgroup:      %s\n", live->state.cgroup);
	for (int own = 1; own >= 0; own--) {
		fputs(own ? "namespaces: " : "the host's: ", stdout);
		for (size_t i = 0; i < N_KINDS; i++)
			if (((s->namespaces & kinds[i].flag) != 0) == own)
				printf(" %s", kinds[i].name);
		putchar('\n');
	}
}

static void print_limits(struct emit *e, const char *name, const struct nsi_resources *limits)
{
	char text[64];

	emit_open(e, name, '{');
	for (int i = 0; i < NSI_LIMITS; i++)
		if (nsi_limit_set(limits, (enum nsi_limit)i)) {
			nsi_limit_value(limits, (enum nsi_limit)i, text, sizeof(text));
			emit_text(e, nsi_limit_file((enum nsi_limit)i), text);
		}
	emit_close(e, '}');
}

static void print_object(const struct live *live, const struct nsi_status *s)
{
	struct emit e = {0};
	char text[512];
	bool exact;

	emit_open(&e, NULL, '{');
	emit_text(&e, "state", state_word(s));
	emit_text(&e, "id", live->id);
	emit_text(&e, "rootfs", live->state.rootfs);
	emit_known(&e, "user", live->state.user);
	emit_number(&e, "pid1", live->state.pid1);
	emit_number(&e, "supervisor", live->state.supervisor);
	emit_text(&e, "since", since_utc(live_age(live), text, sizeof(text)));
	emit_number(&e, "uptime", live_age(live));
	emit_number(&e, "sessions", s->sessions);
	emit_number(&e, "max_sessions", s->max_sessions);
	emit_text(&e, "ends", end_text(s, text, sizeof(text)));
	emit_number(&e, "rule", s->line);
	emit_number(&e, "memory", (long long)live_memory(live, &exact));
	emit_bool(&e, "memory_exact", exact);
	print_limits(&e, "limits", &s->resources);
	print_limits(&e, "session_limits", &s->session_resources);
	emit_known(&e, "limits_not_kept", s->not_kept);
	emit_known(&e, "cgroup", live->state.cgroup);
	emit_open(&e, "namespaces", '{');
	for (size_t i = 0; i < N_KINDS; i++)
		emit_text(&e, kinds[i].name, s->namespaces & kinds[i].flag ? "own" : "host");
	emit_close(&e, '}');
	emit_close(&e, '}');
}

static int not_live(const char *dir, bool json)
{
	struct emit e = {0};

	if (json) {
		emit_open(&e, NULL, '{');
		emit_text(&e, "state", "none");
		emit_text(&e, "rootfs", dir);
		emit_close(&e, '}');
	} else {
		print_text(dir);
		puts(geteuid() == 0 ? ": not running" : ": not running, as far as others than root can see");
	}
	return EXIT_NOT_LIVE;
}

int cmd_status(int argc, char **argv)
{
	static struct nsi_status status;
	struct options_common o;
	struct live live;
	struct nsi_error err = {0};

	if (!options_parse(argc, argv, "Cj", 0, &o))
		return NSI_EXIT_FAILED;
	const char *dir = o.dir ? o.dir : ".";
	int r = live_open(dir, &live, &err);
	if (r == 0) {
		r = nsi_control_status(live.id, &status, &err);
		if (nsi_supervisor_gone(r)) /* it ends at this moment */
			r = -ESRCH;
	}
	if (r == -ESRCH)
		return not_live(dir, o.json);
	if (r < 0)
		return report(&err);
	if (o.json)
		print_object(&live, &status);
	else
		print_table(&live, &status);
	live_close(&live);
	return 0;
}
