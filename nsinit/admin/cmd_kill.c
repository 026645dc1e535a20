/* nsinit kill: signal the first process of a container. nsinit wait: until it has ended. */
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/base/str.h"
#include "../../libcore/whole/control.h"
#include "../commands.h"
#include "../console/emit.h"
#include "../console/options.h"
#include "live.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { RESUME_MS = 10000 };

/* "TERM", "SIGTERM", "15". 0: no such signal. */
static int signal_number(const char *text)
{
	unsigned long long n;

	if (nsi_parse_number(text, 1, SIGRTMAX, &n))
		return (int)n;
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (int sig = 1; sig < NSIG; sig++) {
		const char *name = sigabbrev_np(sig);

		if (name && strcasecmp(name, text) == 0)
			return sig;
	}
	return 0;
}

/*
 * A paused container does not end by that alone: the kernel waits until all processes are reaped, and the
 * parents of some are stopped.
 */
static void let_end(const struct live *live)
{
	int unused;

	if (live->state.cgroup[0])
		nsi_control_order(live->id, NSI_ASK_RESUME, RESUME_MS, &unused, NULL);
}

int cmd_kill(int argc, char **argv)
{
	struct options_common o;
	struct live live;
	struct nsi_error err = {0};
	struct emit e = {0};

	if (!options_parse(argc, argv, "Csj", 0, &o))
		return NSI_EXIT_FAILED;
	int sig = o.signal ? signal_number(o.signal) : SIGKILL;
	if (sig == 0) {
		nsi_failf(&err, EINVAL, "using -s", o.signal, "\"kill -l\" lists them",
			"no signal has this name");
		return report(&err);
	}
	if (live_open(o.dir ? o.dir : ".", &live, &err) < 0)
		return report(&err);
	/* By what the supervisor wrote down: .nspid is whatever the container has made of it. */
	cleanup_fd int pid1 = nsi_open_process(live.state.pid1, live.state.pid1_start);
	int r = pid1 < 0 ? -ESRCH : nsi_pidfd_send_signal(pid1, sig) < 0 ? -errno : 0;
	if (r == 0 && sig == SIGKILL)
		let_end(&live);
	live_close(&live);
	if (r < 0) {
		nsi_fail(&err, -r, "signalling", "the container's process 1", NULL);
		return report(&err);
	}
	if (o.json) {
		emit_open(&e, NULL, '{');
		live_emit(&e, &live);
		emit_number(&e, "signal", sig);
		emit_close(&e, '}');
	}
	return 0;
}

/*
 * The supervisor says how it ended. One that was killed itself says nothing: then its own end is all that can
 * be waited for.
 */
static int wait_for(const struct live *live, int *ret_status, struct nsi_error *err)
{
	struct pollfd ended = {.fd = live->supervisor, .events = POLLIN};
	int r = nsi_control_order(live->id, NSI_ASK_WAIT, -1, ret_status, err);

	if (r < 0 && !nsi_supervisor_gone(r))
		return r;
	if (r < 0)
		*ret_status = -1;
	while (poll(&ended, 1, -1) < 0 && errno == EINTR)
		continue;
	return 0;
}

int cmd_wait(int argc, char **argv)
{
	struct options_common o;
	struct live live;
	struct nsi_error err = {0};
	struct emit e = {0};
	int status = -1;

	if (!options_parse(argc, argv, "Cj", 0, &o))
		return NSI_EXIT_FAILED;
	if (live_open(o.dir ? o.dir : ".", &live, &err) < 0)
		return report(&err);
	int r = wait_for(&live, &status, &err);
	live_close(&live);
	if (r < 0)
		return report(&err);
	if (o.json) {
		emit_open(&e, NULL, '{');
		live_emit(&e, &live);
		if (status < 0)
			emit_null(&e, "status");
		else
			emit_number(&e, "status", status);
		emit_close(&e, '}');
	}
	return status < 0 ? 0 : status;
}
