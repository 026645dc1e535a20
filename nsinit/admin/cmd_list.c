/* nsinit list: which containers live. */
#include "../../libcore/whole/control.h"
#include "../commands.h"
#include "../console/emit.h"
#include "../console/options.h"
#include "../console/show.h"
#include "live.h"

#include <stdio.h>

struct view {
	bool json;
	struct emit emit;
	int shown;
	struct nsi_status status; /* of the container at hand */
};

static void print_object(struct view *v, const struct live *live, bool told)
{
	struct emit *e = &v->emit;
	bool exact;
	unsigned long long memory = live_memory(live, &exact);

	emit_open(e, NULL, '{');
	emit_text(e, "id", live->id);
	emit_text(e, "state", told && v->status.paused ? "paused" : "running");
	emit_number(e, "pid1", live->state.pid1);
	emit_number(e, "supervisor", live->state.supervisor);
	emit_text(e, "user", live->state.user);
	emit_number(e, "uptime", live_age(live));
	if (told)
		emit_number(e, "sessions", v->status.sessions);
	else
		emit_null(e, "sessions");
	emit_number(e, "memory", (long long)memory);
	emit_bool(e, "memory_exact", exact);
	emit_text(e, "rootfs", live->state.rootfs);
	emit_text(e, "cgroup", live->state.cgroup);
	emit_close(e, '}');
}

static void print_line(struct view *v, const struct live *live, bool told)
{
	char age[24], memory[24], sessions[16] = "?";
	bool exact;

	if (!v->shown)
		printf("%-18s %8s %-7s %-12s %8s %8s %9s %s\n", "ID", "PID", "STATE", "USER", "AGE",
			"SESSIONS", "MEMORY", "ROOTFS");
	size_text(live_memory(live, &exact), memory + 1, sizeof(memory) - 1);
	memory[0] = '~'; /* the sum of what processes have is too much: they share */
	if (told)
		snprintf(sessions, sizeof(sessions), "%u", v->status.sessions);
	printf("%-18s %8d %-7s %-12s %8s %8s %9s ", live->id, (int)live->state.pid1,
		told && v->status.paused ? "paused" : "running", live->state.user[0] ? live->state.user : "-",
		duration_text(live_age(live), age, sizeof(age)), sessions, exact ? memory + 1 : memory);
	print_text(live->state.rootfs);
	putchar('\n');
}

static void show(const struct live *live, void *data)
{
	struct view *v = data;
	bool told = nsi_control_status(live->id, &v->status, NULL) == 0;

	if (v->json)
		print_object(v, live, told);
	else
		print_line(v, live, told);
	v->shown++;
}

int cmd_list(int argc, char **argv)
{
	static struct view v;
	struct options_common o;

	if (!options_parse(argc, argv, "j", 0, &o))
		return NSI_EXIT_FAILED;
	if (need_root("list", "what lives is root's to see") != 0)
		return NSI_EXIT_FAILED;
	v.json = o.json;
	if (v.json)
		emit_open(&v.emit, NULL, '[');
	live_each(show, &v);
	if (v.json)
		emit_close(&v.emit, ']');
	return 0;
}
