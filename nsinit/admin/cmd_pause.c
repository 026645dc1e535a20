/* nsinit pause, nsinit resume: stop all that runs in a container, and let it go on. */
#include "../../libcore/act/cgroup.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/whole/control.h"
#include "../commands.h"
#include "../console/emit.h"
#include "../console/options.h"
#include "live.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

enum { DEADLINE_MS = 10000, FREEZE_MS = 5000 };

/* The kernel freezes each process when it leaves what it is doing; that can last. */
static int wait_frozen(const struct live *live, struct nsi_error *err)
{
	cleanup_fd int dir = open(live->state.cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int ms = 0; dir >= 0 && ms < FREEZE_MS; ms += 10) {
		if (nsi_cgroup_frozen(dir))
			return 0;
		poll(NULL, 0, 10);
	}
	return nsi_failf(err, ETIMEDOUT, "pausing", live->state.rootfs, "\"nsinit resume\" undoes it",
		"it is paused, but a process in it does not stop: it waits in the kernel");
}

static int order(int argc, char **argv, enum nsi_ask ask)
{
	struct options_common o;
	struct live live;
	struct nsi_error err = {0};
	struct emit e = {0};
	int unused;

	if (!options_parse(argc, argv, "Cj", 0, &o))
		return NSI_EXIT_FAILED;
	if (live_open(o.dir ? o.dir : ".", &live, &err) < 0)
		return report(&err);
	int r = nsi_control_order(live.id, ask, DEADLINE_MS, &unused, &err);
	if (r == 0 && ask == NSI_ASK_PAUSE)
		r = wait_frozen(&live, &err);
	live_close(&live);
	if (r < 0)
		return report(&err);
	if (o.json) {
		emit_open(&e, NULL, '{');
		live_emit(&e, &live);
		emit_bool(&e, "paused", ask == NSI_ASK_PAUSE);
		emit_close(&e, '}');
	}
	return 0;
}

int cmd_pause(int argc, char **argv)
{
	return order(argc, argv, NSI_ASK_PAUSE);
}

int cmd_resume(int argc, char **argv)
{
	return order(argc, argv, NSI_ASK_RESUME);
}
