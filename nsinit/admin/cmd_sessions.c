/* nsinit sessions: who is logged in to containers, as their supervisors tell. */
#include "../../libcore/whole/control.h"
#include "../commands.h"
#include "../console/emit.h"
#include "../console/options.h"
#include "../console/show.h"
#include "live.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>

struct view {
	bool json;
	struct emit emit;
	int shown;
	struct nsi_status status;
	struct nsi_error err; /* the last that failed */
};

static const char *way(const struct nsi_told_session *s)
{
	return s->ask == NSI_ASK_LOGIN ? "login" : s->ask == NSI_ASK_EXEC ? "exec" : "shell";
}

/* A shell comes without PAM, or is one of a session of PAM. */
static const char *service(const struct nsi_told_session *s)
{
	if (s->origin.service[0])
		return s->origin.service;
	return s->ask == NSI_ASK_EXEC ? "nsinit exec" : s->ask == NSI_ASK_SHELL ? "nsinit-shell" : NULL;
}

static void print_object(struct view *v, const struct live *live, const struct nsi_told_session *s)
{
	const struct passwd *pw = getpwuid(s->uid);
	struct emit *e = &v->emit;
	char since[32];

	emit_open(e, NULL, '{');
	emit_text(e, "container", live->id);
	emit_text(e, "rootfs", live->state.rootfs);
	emit_text(e, "user", pw ? pw->pw_name : NULL);
	emit_number(e, "uid", s->uid);
	emit_text(e, "way", way(s));
	emit_text(e, "service", service(s));
	if (s->leader > 0)
		emit_number(e, "leader", s->leader);
	else
		emit_null(e, "leader");
	emit_text(e, "since", since_utc(s->age, since, sizeof(since)));
	emit_number(e, "age", s->age);
	emit_known(e, "from", s->origin.from);
	emit_close(e, '}');
}

static void print_line(struct view *v, const struct live *live, const struct nsi_told_session *s)
{
	const struct passwd *pw = getpwuid(s->uid);
	char since[32], age[24], number[16], from[sizeof(s->origin.from)];

	if (!v->shown)
		printf("%-12s %-12s %8s %-19s %7s %-20s %s\n", "USER", "SERVICE", "LEADER", "SINCE", "AGE",
			"FROM", "ROOTFS");
	snprintf(number, sizeof(number), "%u", (unsigned)s->uid);
	snprintf(from, sizeof(from), "%s", s->origin.from[0] ? s->origin.from : "-");
	make_printable(from);
	printf("%-12s ", pw ? pw->pw_name : number);
	char name[sizeof(s->origin.service)];
	snprintf(name, sizeof(name), "%s", service(s) ? service(s) : "-");
	make_printable(name);
	printf("%-12s %8d %-19s %7s %-20s ", name, (int)s->leader, since_text(s->age, since, sizeof(since)),
		duration_text(s->age, age, sizeof(age)), from);
	print_text(live->state.rootfs);
	putchar('\n');
}

static void show(const struct live *live, void *data)
{
	struct view *v = data;

	if (nsi_control_status(live->id, &v->status, &v->err) < 0)
		return;
	for (uint32_t i = 0; i < v->status.n; i++) {
		if (v->json)
			print_object(v, live, &v->status.list[i]);
		else
			print_line(v, live, &v->status.list[i]);
		v->shown++;
	}
	if (v->status.n < v->status.sessions)
		fprintf(stderr, "nsinit: %s has %u more sessions\n", live->id,
			v->status.sessions - v->status.n);
}

int cmd_sessions(int argc, char **argv)
{
	static struct view v;
	struct options_common o;
	struct live live;

	if (!options_parse(argc, argv, "Cj", 0, &o))
		return NSI_EXIT_FAILED;
	if (!o.dir && need_root("sessions", "without -C it shows everybody's") != 0)
		return NSI_EXIT_FAILED;
	v.json = o.json;
	if (o.dir && live_open(o.dir, &live, &v.err) < 0)
		return report(&v.err);
	if (v.json)
		emit_open(&v.emit, NULL, '[');
	if (o.dir) {
		show(&live, &v);
		live_close(&live);
	} else {
		live_each(show, &v);
	}
	if (v.json)
		emit_close(&v.emit, ']');
	return v.err.code ? report(&v.err) : 0;
}
