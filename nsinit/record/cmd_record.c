/* The keeper of a recorded session: started by the library, with who has ordered it as descriptor 3. */
#include "../../libcore/act/proc.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/log.h"
#include "../../libcore/base/str.h"
#include "../commands.h"
#include "record.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <syslog.h>
#include <time.h>

enum { CLIENT = 3, DEADLINE_MS = 10000, END_MS = 5000 };

void recorder_say(const struct recorder *r, int priority, int terminal, const char *format, ...)
{
	char text[2560], number[32] = "";
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (terminal)
		snprintf(number, sizeof(number), "terminal=%d ", terminal);
	nsi_log("nsinit", priority, "reason=record user=%s rule=%d container=%s session=%s %s%s",
		r->order->user, r->order->line, r->order->container, r->files.session, number, text);
}

void recorder_note(struct recorder *r)
{
	int res = files_session(r);

	if (res < 0 && !r->files.unwritten)
		recorder_say(r, LOG_WARNING, 0, "what is known of it cannot be written down: %s",
			strerrordesc_np(-res));
	r->files.unwritten = res < 0;
}

/* ------------------------------------------------------------------ the end */

void recorder_freed(struct recorder *r)
{
	if (r->ending && slots_busy(r) == 0)
		loop_stop(r->loop);
}

static void too_long(struct loop *loop, int fd, void *data)
{
	(void)fd;
	slots_signal(data, SIGKILL);
	loop_stop(loop);
}

/* Programs of the session may still be closing their terminals. */
static void end(struct recorder *r)
{
	if (!r->ending)
		loop_timer_set(r->loop, &r->deadline, END_MS, too_long, r);
	r->ending = true;
	recorder_freed(r);
}

static void leader_ended(struct loop *loop, int fd, void *data)
{
	loop_forget(loop, fd);
	end(data);
}

/* sshd's process waits for the answer before it joins. */
static void hold(struct recorder *r, int pidfd)
{
	const bool required = r->order->recording.required;
	struct nsi_error err = {0};
	char text[2048];

	int res = hold_begin(r, pidfd, &err);
	if (res < 0)
		recorder_say(r, LOG_WARNING, 0, "%s%s", required ? "refused: " : "",
			nsi_error_text(&err, text, sizeof(text)));
	nsi_error_reason(&err, "record");
	nsi_record_say(r->sock, NSI_RECORD_READY, res < 0 && required ? &err : NULL, NULL, 0);
}

/* Its end says nothing: whoever has started us may go while the session stays. */
static void said(struct loop *loop, int fd, void *data)
{
	struct recorder *r = data;
	struct nsi_record_said what;
	int fds[NSI_MAX_FDS];
	ssize_t n = nsi_receive(fd, &what, sizeof(what), fds, 0);
	bool good = n == (ssize_t)sizeof(what) && what.magic == NSI_RECORD_MAGIC;

	if (good && what.word == NSI_RECORD_JOINS && fds[0] >= 0)
		hold(r, fds[0]);
	for (int i = 0; i < NSI_MAX_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (good && what.word == NSI_RECORD_CLOSE)
		end(r);
	if (n <= 0) {
		loop_forget(loop, fd);
		close(nsi_take_fd(&r->sock));
	}
}

static void on_signal(struct loop *loop, int fd, void *data)
{
	struct recorder *r = data;
	struct signalfd_siginfo info;

	(void)loop;
	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD)
		return hold_look(r);
	if (info.ssi_signo == SIGIO)
		return slots_look(r);
	slots_signal(r, SIGTERM);
	end(r);
}

static void answered(struct loop *loop, int fd, void *data)
{
	uint64_t n;

	(void)loop;
	(void)!read(fd, &n, sizeof(n));
	hold_check(data);
}

/* ------------------------------------------------------------------ the begin */

static int watch(struct recorder *r, struct nsi_error *err)
{
	sigset_t set, all;

	/* What a terminal's process is sent must not find it before it has its own signalfd. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGIO);
	signal(SIGPIPE, SIG_IGN);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	r->answers = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->loop = loop_new();
	if (r->signals < 0 || r->answers < 0 || !r->loop ||
		!loop_watch(r->loop, r->answers, POLLIN, answered, r) ||
		!loop_watch(r->loop, r->signals, POLLIN, on_signal, r) ||
		!loop_watch(r->loop, r->leader, POLLIN, leader_ended, r) ||
		!loop_watch(r->loop, r->sock, POLLIN, said, r))
		return nsi_fail(err, ENOMEM, "starting", "the recorder", NULL);
	return 0;
}

/* A disk that takes nothing is no reason to keep a user out, unless the policy says so. */
static int open_files(struct recorder *r, struct nsi_error *err)
{
	char text[2048];
	int res = files_open(&r->files, r->order, err);

	if (res == 0 && (res = files_session(r)) < 0)
		nsi_fail(err, -res, "writing the recording of", r->order->user, NULL);
	if (res == 0 || !files_lost(res) || r->order->recording.required)
		return res;
	r->files.unwritten = true;
	recorder_say(r, LOG_WARNING, 0, "goes on without a recording: %s",
		nsi_error_text(err, text, sizeof(text)));
	return 0;
}

static int start(struct recorder *r, struct nsi_error *err)
{
	r->from = time(NULL);
	int res = watch(r, err);
	if (res == 0)
		res = open_files(r, err);
	if (res == 0)
		res = slots_new(r, err);
	return res < 0 ? nsi_error_reason(err, "record") : 0;
}

static void finish(struct recorder *r)
{
	r->to = time(NULL);
	recorder_note(r);
}

static int keep(struct recorder *r)
{
	struct nsi_error err = {0};
	char text[2048];

	if (start(r, &err) < 0) {
		recorder_say(r, LOG_ERR, 0, "refused: %s", nsi_error_text(&err, text, sizeof(text)));
		nsi_record_say(r->sock, NSI_RECORD_READY, &err, NULL, 0);
		if (r->files.about >= 0)
			finish(r);
		return NSI_EXIT_FAILED;
	}
	nsi_log("nsinit", LOG_INFO, "user=%s rule=%d container=%s session=%s leader=%d recorded in %s/%s",
		r->order->user, r->order->line, r->order->container, r->files.session, (int)r->leader_pid,
		r->order->recording.dir, r->order->user);
	loop_run(r->loop);
	finish(r);
	return 0;
}

int cmd_record(int argc, char **argv)
{
	static struct recorder r = {
		.sock = CLIENT, .signals = -1, .answers = -1, .files = {.above = -1, .dir = -1, .about = -1}};
	cleanup_free struct nsi_record_order *order = calloc(1, sizeof(*order));
	int fds[NSI_MAX_FDS];

	(void)argc, (void)argv;
	if (!order || geteuid() != 0 ||
		nsi_receive(CLIENT, order, sizeof(*order), fds, DEADLINE_MS) != (ssize_t)sizeof(*order) ||
		order->magic != NSI_RECORD_MAGIC || fds[0] < 0)
		return NSI_EXIT_FAILED;
	fcntl(CLIENT, F_SETFD, FD_CLOEXEC);
	prctl(PR_SET_DUMPABLE, 0);
	openlog("nsinit", LOG_PID, LOG_AUTHPRIV);
	r.order = order;
	r.leader = fds[0];
	r.devpts = fds[1];
	nsi_pidfd_number(r.leader, &r.leader_pid);
	return keep(&r);
}
