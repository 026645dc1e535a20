/* nsinit ps: the processes of a container, by its pid namespace. What they say of themselves is made
 * printable. */
#include "../commands.h"
#include "../console/emit.h"
#include "../console/options.h"
#include "../console/show.h"
#include "live.h"
#include "processes.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>

struct view {
	bool json, all;
	struct emit emit;
	int shown, columns;
	const struct live *live;
};

static void print_object(struct view *v, const struct process *p)
{
	const struct passwd *pw = getpwuid(p->uid);
	struct emit *e = &v->emit;
	char since[32], state[2] = {p->state, '\0'};

	emit_open(e, NULL, '{');
	emit_text(e, "container", v->live->id);
	emit_text(e, "rootfs", v->live->state.rootfs);
	emit_number(e, "pid", p->pid);
	emit_number(e, "inside", p->inside);
	emit_number(e, "uid", p->uid);
	if (p->inside_uid >= 0)
		emit_number(e, "inside_uid", p->inside_uid);
	else
		emit_null(e, "inside_uid");
	emit_text(e, "user", pw ? pw->pw_name : NULL);
	emit_text(e, "state", state);
	emit_known(e, "tty", p->tty);
	emit_text(e, "since", since_utc(live_seconds_since(p->start), since, sizeof(since)));
	emit_number(e, "memory", (long long)p->memory);
	emit_text(e, "command", p->command);
	emit_close(e, '}');
}

/* The host's name for the uid, or else the number that it has inside. */
static void user_text(const struct process *p, char *buf, size_t size)
{
	const struct passwd *pw = getpwuid(p->uid);

	if (pw)
		snprintf(buf, size, "%s", pw->pw_name);
	else if (p->inside_uid >= 0)
		snprintf(buf, size, ":%ld", p->inside_uid);
	else
		snprintf(buf, size, "%u", (unsigned)p->uid);
}

static void print_line(struct view *v, const struct process *p)
{
	char user[64], since[32], memory[16], line[sizeof(p->command) + 256];
	int used;

	if (!v->shown)
		printf("%8s %8s %-12s %s %-8s %7s %-19s %s\n", "PID", "INSIDE", "USER", "S", "TTY", "MEMORY",
			"SINCE", "COMMAND");
	user_text(p, user, sizeof(user));
	used = snprintf(line, sizeof(line), "%8d %8d %-12s %c %-8s %7s %-19s ", (int)p->pid, (int)p->inside,
		user, p->state, p->tty[0] ? p->tty : "-", size_text(p->memory, memory, sizeof(memory)),
		since_text(live_seconds_since(p->start), since, sizeof(since)));
	snprintf(line + used, sizeof(line) - (size_t)used, "%s", p->command);
	make_printable(line);
	printf("%.*s\n", v->columns, line);
}

static void show(const struct process *p, void *data)
{
	struct view *v = data;

	if (v->json)
		print_object(v, p);
	else
		print_line(v, p);
	v->shown++;
}

static void show_container(const struct live *live, void *data)
{
	struct view *v = data;

	v->live = live;
	if (v->all && !v->json) {
		if (v->shown)
			putchar('\n');
		print_text(live->state.rootfs);
		puts(":");
		v->shown = 0;
	}
	processes_of(live, show, v);
}

int cmd_ps(int argc, char **argv)
{
	struct view v = {0};
	struct options_common o;
	struct live live;
	struct nsi_error err = {0};

	if (!options_parse(argc, argv, "Cja", 0, &o))
		return NSI_EXIT_FAILED;
	if (o.all && o.dir) {
		print_usage("ps");
		return NSI_EXIT_FAILED;
	}
	if (o.all && need_root("ps", "with --all it shows everybody's") != 0)
		return NSI_EXIT_FAILED;
	v.json = o.json;
	v.all = o.all;
	v.columns = terminal_columns();
	if (!o.all && live_open(o.dir ? o.dir : ".", &live, &err) < 0)
		return report(&err);
	if (v.json)
		emit_open(&v.emit, NULL, '[');
	if (o.all) {
		live_each(show_container, &v);
	} else {
		show_container(&live, &v);
		live_close(&live);
	}
	if (v.json)
		emit_close(&v.emit, ']');
	return 0;
}
