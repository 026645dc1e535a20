/*
 * The terminals of a session. A slot is a number of the front whose name leads to a terminal of the container
 * that is ours (front.h); it is used by one terminal after the other. Some are kept ready, as nobody asks
 * before one is taken: the kernel tells that it was.
 *
 * The front gives out its lowest number that is free. Those below the first slot's are taken by us, so that
 * the first terminal of a session has the same number, and name, on both sides.
 */
#include "../../libcore/act/front.h"
#include "../../libcore/act/ns.h"
#include "../../libcore/act/tty.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/log.h"
#include "../../libcore/base/str.h"
#include "record.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>

enum { MAX_SLOTS = 64, MAX_BELOW = 64, READY = 4, AT_ONCE = 10, UNLOCK_MS = 2000 };

struct slot {
	struct recorder *recorder;
	unsigned as, number; /* of the front, and of the container */
	int back;            /* the container's master, while the slot is ready; or -1 */
	int front; /* the front's terminal, while it is used: as long as it is open the number is not free */
	pid_t pid; /* of the process; 0: it is not used */
	int pidfd;
	struct terminal *terminal;
};

struct slots {
	int front, view, devpts; /* view and devpts: -1 for a pair */
	int changes;
	int below[MAX_BELOW];
	int n;
	struct slot list[MAX_SLOTS];
};

static bool is_ready(const struct slot *s)
{
	return s->back >= 0 && s->front < 0;
}

static struct terminal *new_terminal(struct recorder *r)
{
	struct terminal *t = calloc(1, sizeof(*t));
	void *tally =
		mmap(NULL, sizeof(*t->tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (!t || tally == MAP_FAILED) {
		free(t);
		return NULL;
	}
	t->tally = tally;
	t->number = r->terminals ? r->terminals->number + 1 : 1;
	t->from = time(NULL);
	t->next = r->terminals;
	r->terminals = t;
	return t;
}

/* ------------------------------------------------------------------ one is used */

static int make_ready(struct slot *s, struct nsi_error *err)
{
	const struct slots *slots = s->recorder->slots;
	cleanup_fd int back = -1;
	int r = nsi_tty_master(s->recorder->devpts, &back, &s->number, err);

	if (r == 0)
		r = nsi_front_show(slots->view, slots->devpts, s->as, s->number, err);
	if (r < 0)
		return r;
	fcntl(back, F_SETFL, O_NONBLOCK); /* it is nobody else's */
	s->back = nsi_take_fd(&back);
	return 0;
}

static void complain(const struct recorder *r, const struct nsi_error *err)
{
	char text[2048];

	nsi_log("nsinit", LOG_ERR, "reason=record user=%s session=%s %s", r->order->user, r->files.session,
		nsi_error_text(err, text, sizeof(text)));
}

/*
 * The process has ended, and with it the container's terminal. Only then does the other side hear of it, and
 * the number becomes free: whoever gets it next gets another terminal.
 */
static void ended(struct loop *loop, int fd, void *data)
{
	struct slot *s = data;
	struct recorder *r = s->recorder;
	struct nsi_error err = {0};
	siginfo_t info;

	loop_forget(loop, fd);
	waitid(P_PID, (id_t)s->pid, &info, WEXITED);
	close(nsi_take_fd(&s->pidfd));
	s->pid = 0;
	s->terminal->to = time(NULL);
	if (r->slots->view >= 0 && !r->ending && make_ready(s, &err) < 0)
		complain(r, &err);
	close(nsi_take_fd(&s->front));
	recorder_note(r);
	hold_check(r);
	recorder_freed(r);
}

static int use(struct slot *s, struct nsi_error *err)
{
	struct recorder *r = s->recorder;

	s->terminal = new_terminal(r);
	if (!s->terminal)
		return nsi_fail(err, ENOMEM, "recording", "a terminal", NULL);
	int res = terminal_start(r, s->terminal, s->front, s->back, &s->pid, &s->pidfd, err);
	if (res < 0)
		return res;
	close(nsi_take_fd(&s->back));
	if (!loop_watch(r->loop, s->pidfd, POLLIN, ended, s)) {
		nsi_pidfd_send_signal(s->pidfd, SIGKILL);
		return nsi_fail(err, ENOMEM, "recording", "a terminal", NULL);
	}
	recorder_note(r);
	return 0;
}

/* ------------------------------------------------------------------ many, for who allocates them */

static int add_slot(struct recorder *r, unsigned as, struct nsi_error *err)
{
	struct slots *slots = r->slots;
	struct slot *s = &slots->list[slots->n];

	if (slots->n == MAX_SLOTS)
		return nsi_failf(err, EUSERS, "making", "a terminal", NULL, "%d are in use", MAX_SLOTS);
	*s = (struct slot){.recorder = r, .as = as, .back = -1, .front = -1, .pidfd = -1};
	int res = make_ready(s, err);
	if (res == 0)
		slots->n++;
	return res;
}

/* As many in all as sshd's MaxSessions is by default: so many may be asked for before we get to hear of any.
 */
static void keep_ready(struct recorder *r)
{
	struct slots *slots = r->slots;
	struct nsi_error err = {0};
	int ready = 0;

	for (int i = 0; i < slots->n; i++)
		ready += is_ready(&slots->list[i]);
	for (; ready < READY || slots->n < AT_ONCE; ready++) {
		if (add_slot(r, slots->list[slots->n - 1].as + 1, &err) < 0)
			return complain(r, &err);
	}
}

/* The one that has just been allocated is locked for a moment, until unlockpt(3). */
static int open_front(const struct slots *slots, unsigned number)
{
	char name[16];
	int fd = -1;

	snprintf(name, sizeof(name), "%u", number);
	for (int ms = 0; fd < 0 && ms < UNLOCK_MS; ms++) {
		fd = openat(slots->front, name, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 && errno != EIO)
			break;
		if (fd < 0)
			poll(NULL, 0, 1);
	}
	return fd;
}

static void taken(struct recorder *r, unsigned number)
{
	struct nsi_error err = {0};
	struct slot *s = NULL;

	for (int i = 0; i < r->slots->n; i++)
		if (r->slots->list[i].as == number && is_ready(&r->slots->list[i]))
			s = &r->slots->list[i];
	if (!s)
		return; /* its name leads nowhere */
	s->front = open_front(r->slots, number);
	if (s->front < 0)
		return; /* given up already */
	keep_ready(r);  /* first: whoever asks for many does not wait */
	if (use(s, &err) < 0) {
		complain(r, &err);
		close(nsi_take_fd(&s->front));
	}
}

void slots_look(struct recorder *r)
{
	_Alignas(struct inotify_event) char events[4096];
	unsigned long long number;
	ssize_t n = r->slots->changes < 0 ? 0 : read(r->slots->changes, events, sizeof(events));

	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const struct inotify_event *)(const void *)(events + at);

		if (e->len > 0 && nsi_parse_number(e->name, 0, UINT32_MAX, &number))
			taken(r, (unsigned)number);
		at += (ssize_t)(sizeof(*e) + e->len);
	}
}

static void changed(struct loop *loop, int fd, void *data)
{
	(void)loop, (void)fd;
	slots_look(data);
}

static int watch_front(struct recorder *r, struct nsi_error *err)
{
	struct slots *slots = r->slots;
	char path[64];

	slots->changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", slots->front);
	if (slots->changes < 0 || inotify_add_watch(slots->changes, path, IN_CREATE) < 0 ||
		!loop_watch(r->loop, slots->changes, POLLIN, changed, r))
		return nsi_fail(err, errno, "watching", "the terminals", NULL);
	return 0;
}

/* Take the numbers below the one that the next terminal of the container has. */
static int take_below(struct recorder *r, unsigned *ret_first, struct nsi_error *err)
{
	struct slots *slots = r->slots;
	cleanup_fd int next = -1;
	unsigned number, at;
	int res = nsi_tty_master(r->devpts, &next, &number, err);

	*ret_first = number < MAX_BELOW ? number : 0;
	for (unsigned i = 0; res == 0 && i < *ret_first; i++)
		res = nsi_tty_master(slots->front, &slots->below[i], &at, err);
	return res;
}

static int make_front(struct recorder *r, struct nsi_error *err)
{
	struct slots *slots = r->slots;
	int fds[NSI_MAX_FDS];
	unsigned first;
	int res = nsi_record_say(r->sock, NSI_RECORD_READY, NULL, &slots->front, 1);

	if (res < 0)
		return nsi_fail(err, -res, "answering", r->order->user, NULL);
	res = nsi_record_hear(r->sock, NSI_RECORD_MOUNTED, fds, err);
	if (res < 0)
		return res;
	slots->view = fds[0];
	slots->devpts = fds[1];
	/* What is to be seen there is mounted there; the directory of the files is open. */
	res = nsi_enter(r->leader, CLONE_NEWNS, err);
	if (res == 0)
		res = take_below(r, &first, err);
	if (res == 0)
		res = add_slot(r, first, err);
	if (res == 0)
		res = nsi_front_check(slots->devpts, first, slots->list[0].number, err);
	if (res == 0)
		res = watch_front(r, err);
	if (res < 0)
		return res;
	keep_ready(r);
	res = nsi_record_say(r->sock, NSI_RECORD_READY, NULL, NULL, 0);
	return res < 0 ? nsi_fail(err, -res, "answering", r->order->user, NULL) : 0;
}

/* ------------------------------------------------------------------ one, for who is given it */

static int make_pair(struct recorder *r, struct nsi_error *err)
{
	struct slots *slots = r->slots;
	struct slot *s = &slots->list[slots->n++];
	cleanup_fd int master = -1, terminal = -1;

	*s = (struct slot){.recorder = r, .back = -1, .front = -1, .pidfd = -1};
	int res = nsi_tty_master(slots->front, &master, &s->as, err);
	if (res == 0)
		res = nsi_tty_open(r->devpts, r->order->root, &s->back, &terminal, err);
	if (res < 0)
		return res;
	fcntl(s->back, F_SETFL, O_NONBLOCK);
	s->front = open_front(slots, s->as);
	if (s->front < 0)
		return nsi_fail(err, errno, "opening", "the recorded terminal", NULL);
	res = nsi_record_say(r->sock, NSI_RECORD_READY, NULL, (int[]){master, terminal}, 2);
	return res < 0 ? nsi_fail(err, -res, "answering", r->order->user, NULL) : use(s, err);
}

/* ------------------------------------------------------------------ all */

int slots_new(struct recorder *r, struct nsi_error *err)
{
	struct slots *slots = calloc(1, sizeof(*slots));

	if (!slots)
		return nsi_fail(err, ENOMEM, "making", "terminals", NULL);
	r->slots = slots;
	slots->front = slots->view = slots->devpts = slots->changes = -1;
	if (r->order->way == NSI_RECORD_NOTHING) {
		int res = nsi_record_say(r->sock, NSI_RECORD_READY, NULL, NULL, 0);
		return res < 0 ? nsi_fail(err, -res, "answering", r->order->user, NULL) : 0;
	}
	int res = nsi_front_new(&slots->front, err);
	if (res < 0)
		return res;
	return r->order->way == NSI_RECORD_FRONT ? make_front(r, err) : make_pair(r, err);
}

int slots_busy(const struct recorder *r)
{
	int busy = 0;

	for (int i = 0; i < r->slots->n; i++)
		busy += r->slots->list[i].pid > 0;
	return busy;
}

void slots_signal(const struct recorder *r, int sig)
{
	for (int i = 0; i < r->slots->n; i++)
		if (r->slots->list[i].pid > 0)
			nsi_pidfd_send_signal(r->slots->list[i].pidfd, sig);
}

void slots_ask(struct recorder *r)
{
	for (int i = 0; i < r->slots->n; i++) {
		const struct slot *s = &r->slots->list[i];

		if (s->pid <= 0)
			continue;
		s->terminal->tally->asked++;
		nsi_pidfd_send_signal(s->pidfd, SIGUSR1);
	}
}

bool slots_passed_on(const struct recorder *r)
{
	for (int i = 0; i < r->slots->n; i++) {
		const struct slot *s = &r->slots->list[i];

		if (s->pid > 0 && s->terminal->tally->passed != s->terminal->tally->asked)
			return false;
	}
	return true;
}
