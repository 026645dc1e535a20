/* Between a program and its terminal: what goes through is passed on, and recorded before it is seen. */
#include "../../libcore/act/cast.h"
#include "../../libcore/act/tty.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/base/io.h"
#include "../../libcore/process/child.h"
#include "record.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <syslog.h>
#include <termios.h>

enum { FRONT, BACK, SIGNALS, SOURCES };

/* Users decide how much it has to do: supervisors and keepers, its neighbours, come first. */
enum { NICE = 5 };

struct buffer {
	size_t at, len;
	char data[NSI_CAST_CHUNK];
};

struct passage {
	struct recorder *recorder;
	const struct terminal *terminal;
	int number;
	int front, back, signals;
	struct winsize size;
	struct nsi_cast cast;
	struct buffer input, output;
	bool failing; /* the recording, for the time being */
	bool asked;   /* the keeper waits for an answer */
	bool gone;    /* the shell's side: what it has written is all that is still passed on */
};

/* ------------------------------------------------------------------ the recording */

/* `r` is the recording's last word. False: the terminal must not go on without. */
static bool judge(struct passage *p, int r)
{
	const bool required = p->recorder->order->recording.required;

	if (r < 0) {
		p->terminal->tally->code = -r;
		if (!p->failing)
			recorder_say(p->recorder, LOG_WARNING, p->number, "the recording %s: %s",
				required ? "fails, the terminal is hung up" : "stops",
				r == -EFBIG ? "record_size is reached" : strerrordesc_np(-r));
		p->failing = true;
	} else if (p->failing && p->cast.fd >= 0 && !p->cast.retry) {
		recorder_say(
			p->recorder, LOG_NOTICE, p->number, "the recording goes on, with a piece missing");
		p->failing = false;
	}
	return r == 0 || !required;
}

/* With the first that is to be written: a terminal that nobody came to use leaves nothing. */
static int begin(struct passage *p)
{
	const struct nsi_record_order *order = p->recorder->order;
	struct nsi_cast_head head = {.columns = p->size.ws_col ? p->size.ws_col : 80,
		.rows = p->size.ws_row ? p->size.ws_row : 24};

	if (p->terminal->tally->begun)
		return 0;
	int fd = files_terminal(p->recorder, p->number);
	if (fd < 0)
		return fd;
	p->terminal->tally->begun = true;
	snprintf(head.title, sizeof(head.title), "%s %s", order->user, p->recorder->files.session);
	return nsi_cast_begin(&p->cast, fd, &head);
}

static bool note(struct passage *p, char kind, const char *data, size_t len)
{
	int r = begin(p);

	if (r < 0)
		p->cast.missing += len;
	return judge(p, r < 0 ? r : nsi_cast_data(&p->cast, kind, data, len));
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
	return !other || judge(p, nsi_cast_resize(&p->cast, size.ws_col, size.ws_row));
}

/* False: it is over. */
static bool take_input(struct passage *p)
{
	const struct nsi_recording *recording = &p->recorder->order->recording;
	int r = fill(p->front, &p->input);

	if (r > 0) {
		p->terminal->tally->input += p->input.len;
		if (recording->input && !note(p, 'i', p->input.data, p->input.len))
			return false;
		if (recording->required && !judge(p, begin(p)))
			return false; /* nothing that is typed is to be done unrecorded */
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
	if (of[BACK].revents & POLLHUP) {
		p->gone = true;
		p->input.len = 0;
	}
	if ((of[BACK].revents & out) && p->input.len > 0 && !flush(p->back, &p->input))
		return false;
	if ((of[FRONT].revents & out) && p->output.len > 0 && !flush(p->front, &p->output))
		return false;
	if ((of[FRONT].revents & POLLHUP) && !(of[FRONT].revents & POLLIN))
		return false;
	if ((of[FRONT].revents & in) && p->input.len == 0 && !p->gone && !take_input(p))
		return false;
	return !(of[BACK].revents & in) || p->output.len > 0 || take_output(p);
}

static void pass(struct passage *p)
{
	struct pollfd of[SOURCES] = {{.fd = p->front}, {.fd = p->back}, {.fd = p->signals, .events = POLLIN}};

	do {
		const bool input = p->input.len == 0 && !p->gone, output = p->output.len == 0;

		of[FRONT].events = (short)((input ? POLLIN : 0) | (output ? 0 : POLLOUT));
		of[BACK].events = (short)((output ? POLLIN : 0) | (p->input.len > 0 ? POLLOUT : 0));
		/* That it is gone would be told without end while there is still output to pass on. */
		of[BACK].fd = of[BACK].events ? p->back : -1;
		if (poll(of, SOURCES, -1) < 0 && errno != EINTR)
			break;
	} while (turn(p, of) && (!p->asked || answer(p)));
	judge(p, nsi_cast_end(&p->cast));
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

/* All that it needs is open. It keeps none of root's capabilities: what it reads is anybody's. */
_Noreturn static void run(struct recorder *r, const struct terminal *t, int front, int back, pid_t keeper)
{
	static struct passage p;
	const int kept[] = {0, 1, 2, front, back, r->files.above, r->files.dir, r->answers};
	struct nsi_error err = {0};

	p = (struct passage){.recorder = r,
		.terminal = t,
		.number = (int)(t - r->terminals) + 1,
		.front = front,
		.back = back,
		.cast = {.fd = -1, .limit = r->order->recording.size, .used = &r->shared->written},
		.signals = -1};
	closelog();
	if (nsi_close_all_but(kept, sizeof(kept) / sizeof(kept[0])) < 0 || setsid() < 0 ||
		nsi_tty_control(front, &err) < 0 || (p.signals = watch_signals()) < 0 ||
		prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper || nsi_capset(0, 0, 0) < 0) {
		recorder_say(r, LOG_ERR, p.number, "it cannot be recorded: %s",
			err.code ? err.cause : strerrordesc_np(errno));
		_exit(1);
	}
	setpriority(PRIO_PROCESS, 0, NICE);
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
