/* Between a program and its terminal: what goes through is passed on, and recorded before it is seen. */
#include "../../libcore/act/cast.h"
#include "../../libcore/act/tty.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/log.h"
#include "../../libcore/process/child.h"
#include "record.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <syslog.h>
#include <termios.h>

enum { FRONT, BACK, SIGNALS, SOURCES };

struct buffer {
	size_t at, len;
	char data[NSI_CAST_CHUNK];
};

struct passage {
	const struct recorder *recorder;
	struct terminal *terminal;
	int front, back, signals;
	struct winsize size;
	struct nsi_cast cast;
	struct buffer input, output;
	bool asked; /* the keeper waits for an answer */
};

/* ------------------------------------------------------------------ the recording */

/* False: it must not go on without. */
static bool lost(struct passage *p, int r)
{
	const struct nsi_record_order *order = p->recorder->order;

	if (r == 0)
		return true;
	p->terminal->tally->code = -r;
	nsi_log("nsinit", LOG_WARNING,
		"reason=record user=%s session=%s recording of terminal %d stopped: %s%s", order->user,
		p->recorder->files.session, p->terminal->number,
		r == -EFBIG ? "record_size is reached" : strerrordesc_np(-r),
		order->recording.required ? "; the terminal is hung up" : "");
	return !order->recording.required;
}

/* With the first that is to be written: a terminal that nobody came to use leaves nothing. */
static bool begin(struct passage *p)
{
	const struct nsi_record_order *order = p->recorder->order;
	char title[320];
	const struct nsi_cast_head head = {.columns = p->size.ws_col ? p->size.ws_col : 80,
		.rows = p->size.ws_row ? p->size.ws_row : 24,
		.title = title};
	struct tally *tally = p->terminal->tally;

	if (tally->begun || tally->code)
		return true;
	snprintf(title, sizeof(title), "%s %s", order->user, p->recorder->files.session);
	int r = p->recorder->files.dir < 0 ? -ENOSPC
					   : files_terminal(&p->recorder->files, p->terminal->number);
	if (r >= 0) {
		tally->begun = true;
		r = nsi_cast_begin(&p->cast, r, order->recording.size, &head);
	}
	return lost(p, r);
}

static bool note(struct passage *p, char kind, const char *data, size_t len)
{
	return begin(p) && lost(p, nsi_cast_data(&p->cast, kind, data, len));
}

/* ------------------------------------------------------------------ passing on */

/* 1: something was read; 0: nothing for now; -1: the other side is gone. */
static int fill(int fd, struct buffer *b)
{
	ssize_t n = read(fd, b->data, sizeof(b->data));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	b->at = 0;
	b->len = (size_t)n;
	return 1;
}

static bool flush(int fd, struct buffer *b)
{
	ssize_t n = write(fd, b->data + b->at, b->len);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	b->at += (size_t)n;
	b->len -= (size_t)n;
	return true;
}

/* The size is the front's. False where the recording is lost and required. */
static bool resize(struct passage *p)
{
	struct winsize size;

	if (ioctl(p->front, TIOCGWINSZ, &size) < 0)
		return true;
	bool other = size.ws_col != p->size.ws_col || size.ws_row != p->size.ws_row;
	p->size = size;
	ioctl(p->back, TIOCSWINSZ, &size);
	return !other || !p->terminal->tally->begun ||
	       lost(p, nsi_cast_resize(&p->cast, size.ws_col, size.ws_row));
}

/* False: it is over. */
static bool take_input(struct passage *p)
{
	int r = fill(p->front, &p->input);

	if (r > 0) {
		p->terminal->tally->input += p->input.len;
		if (p->recorder->order->recording.input && !note(p, 'i', p->input.data, p->input.len))
			return false;
	}
	return r >= 0;
}

static bool take_output(struct passage *p)
{
	int r = fill(p->back, &p->output);

	if (r > 0) {
		p->terminal->tally->output += p->output.len;
		if (!note(p, 'o', p->output.data, p->output.len))
			return false;
	}
	return r >= 0;
}

static bool take_signal(struct passage *p)
{
	struct signalfd_siginfo info;

	if (read(p->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return true;
	if (info.ssi_signo == SIGUSR1)
		p->asked = true;
	return info.ssi_signo == SIGUSR1 || (info.ssi_signo == SIGWINCH && resize(p));
}

static bool shell_runs(const struct passage *p)
{
	pid_t sid;

	return ioctl(p->back, TIOCGSID, &sid) == 0;
}

/* The keeper wants to know when all is passed on of a shell that has ended. False: it is over. */
static bool answer(struct passage *p)
{
	const uint64_t one = 1;
	const uint32_t asked = p->terminal->tally->asked;

	if (!shell_runs(p)) {
		if (p->output.len == 0 && !take_output(p))
			return false; /* its end is the answer */
		if (p->output.len > 0)
			return true;
	}
	p->asked = false;
	p->terminal->tally->passed = asked;
	(void)!write(p->recorder->answers, &one, sizeof(one));
	return true;
}

static bool turn(struct passage *p, const struct pollfd *of)
{
	/* What is gone, too, is found by reading or writing. */
	const short in = POLLIN | POLLHUP | POLLERR, out = POLLOUT;

	if ((of[SIGNALS].revents & in) && !take_signal(p))
		return false;
	if ((of[BACK].revents & out) && p->input.len > 0 && !flush(p->back, &p->input))
		return false;
	if ((of[FRONT].revents & out) && p->output.len > 0 && !flush(p->front, &p->output))
		return false;
	if ((of[FRONT].revents & POLLHUP) && !(of[FRONT].revents & POLLIN))
		return false;
	if ((of[FRONT].revents & in) && p->input.len == 0 && !take_input(p))
		return false;
	return !(of[BACK].revents & in) || p->output.len > 0 || take_output(p);
}

static void pass(struct passage *p)
{
	struct pollfd of[SOURCES] = {{.fd = p->front}, {.fd = p->back}, {.fd = p->signals, .events = POLLIN}};

	do {
		of[FRONT].events =
			(short)((p->input.len == 0 ? POLLIN : 0) | (p->output.len > 0 ? POLLOUT : 0));
		of[BACK].events =
			(short)((p->output.len == 0 ? POLLIN : 0) | (p->input.len > 0 ? POLLOUT : 0));
		/* A terminal that is gone would be told without end while there is still output to pass on.
		 */
		of[BACK].fd = of[BACK].events ? p->back : -1;
		if (poll(of, SOURCES, -1) < 0 && errno != EINTR)
			break;
	} while (turn(p, of) && (!p->asked || answer(p)));
	lost(p, nsi_cast_end(&p->cast));
}

/* ------------------------------------------------------------------ the process */

static int watch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_SETMASK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* All that it needs is open: it has no right to anything else. */
_Noreturn static void run(const struct recorder *r, struct terminal *t, int front, int back, pid_t keeper)
{
	static struct passage p;
	const int kept[] = {0, 1, 2, front, back, r->files.dir, r->answers};
	struct nsi_error err = {0};

	p = (struct passage){
		.recorder = r, .terminal = t, .front = front, .back = back, .cast.fd = -1, .signals = -1};
	closelog();
	if (nsi_close_all_but(kept, sizeof(kept) / sizeof(kept[0])) < 0 || setsid() < 0 ||
		nsi_tty_control(front, &err) < 0 || (p.signals = watch_signals()) < 0 ||
		prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper || nsi_capset(0, 0, 0) < 0) {
		nsi_log("nsinit", LOG_ERR,
			"reason=record user=%s session=%s a terminal cannot be recorded: %s", r->order->user,
			r->files.session, err.code ? err.cause : strerrordesc_np(errno));
		_exit(1);
	}
	resize(&p);
	pass(&p);
	_exit(0);
}

int terminal_start(struct recorder *r, struct terminal *t, int front, int back, pid_t *ret_pid,
	int *ret_pidfd, struct nsi_error *err)
{
	pid_t keeper = getpid();
	int res = nsi_tty_raw(front, err);

	if (res < 0)
		return res;
	pid_t pid = nsi_clone3(0, ret_pidfd);
	if (pid == 0)
		run(r, t, front, back, keeper);
	if (pid < 0)
		return nsi_fail(err, errno, "forking", "a process for a terminal", NULL);
	*ret_pid = pid;
	return 0;
}
