/*
 * The terminals of a session. A slot is a number of the front whose name leads to a terminal of the container
 * that is ours (front.h); it is used by one terminal after the other. Some are kept ready, as nobody asks
 * before one is taken: the kernel tells that it was.
 *
 * The front gives out its lowest number that is free, and so does the container. The two are to be the same,
 * as programs inside look for their terminal by its name. Numbers of the front below the first slot's are
 * taken by us.
 */
#include "../../libcore/act/front.h"
#include "../../libcore/act/ns.h"
#include "../../libcore/act/tty.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/str.h"
#include "record.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>

enum { MAX_SLOTS = 64, MAX_BELOW = 64, READY = 4, AT_ONCE = 10, UNLOCK_MS = 200, AGAIN_MS = 200 };

/* Where terminals next to ours are other users', none of theirs may have the name of one of ours. */
enum { MAX_BELOW_SHARED = 256 };

struct slot {
	struct recorder *recorder;
	unsigned as, number; /* of the front, and of the container */
	int back;            /* the container's master, while the slot is ready; or -1 */
	int node;  /* O_PATH, of what had the number last: as long as it is there, that is not free */
	int front; /* the front's terminal, while it is used: as long as it is open the number is not free */
	pid_t pid; /* of the process; 0: it is not used */
	int pidfd;
	struct terminal *terminal;
};

struct slots {
	int front, view, devpts; /* view and devpts: -1 for a pair */
	int changes;             /* the front's directory, which dnotify tells of */
	int below[MAX_BELOW_SHARED];
	struct loop_timer again;
	int n;
	struct slot list[MAX_SLOTS];
};

static bool is_ready(const struct slot *s)
{
	return s->back >= 0 && s->front < 0;
}

static struct terminal *new_terminal(struct recorder *r)
{
	struct terminal *t = &r->terminals[r->n_terminals];

	if (r->n_terminals == RECORD_TERMINALS)
		return NULL;
	*t = (struct terminal){.from = time(NULL), .tally = &r->shared->tallies[r->n_terminals++]};
	return t;
}

/* ------------------------------------------------------------------ one is used */

/*
 * Terminal number `as` of the container, if it is to be had: what it gives below that is kept till then. With
 * a user namespace any other will do: they are all the user's.
 */
static int take_back(struct slot *s, int *ret_back, struct nsi_error *err)
{
	const struct recorder *r = s->recorder;
	int below[MAX_SLOTS], n = 0, res;

	while ((res = nsi_tty_master(r->devpts, ret_back, &s->number, err)) == 0 && s->number < s->as &&
		n < MAX_SLOTS)
		below[n++] = *ret_back;
	while (n > 0)
		close(below[--n]);
	if (res < 0 || s->number == s->as || r->order->root != 0)
		return res;
	close(nsi_take_fd(ret_back));
	return nsi_failf(
		err, EBUSY, "making", "a terminal", NULL, "number %u is in use in the container", s->as);
}

static int make_ready(struct slot *s, struct nsi_error *err)
{
	const struct slots *slots = s->recorder->slots;
	cleanup_fd int back = -1;

	if (s->recorder->n_terminals == RECORD_TERMINALS)
		return nsi_failf(err, EUSERS, "making", "a terminal", "log in anew",
			"the session has had %d, no more are recorded", RECORD_TERMINALS);
	int r = take_back(s, &back, err);
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

	recorder_say(r, LOG_ERR, 0, "%s", nsi_error_text(err, text, sizeof(text)));
}

static void keep_ready(struct recorder *r);

/*
 * The process has ended, and with it the container's terminal. Only then does the other side hear of it, and
 * the number becomes free: whoever gets it next gets another terminal.
 */
static void ended(struct loop *loop, int fd, void *data)
{
	struct slot *s = data;
	struct recorder *r = s->recorder;
	siginfo_t info;

	loop_forget(loop, fd);
	waitid(P_PID, (id_t)s->pid, &info, WEXITED);
	close(nsi_take_fd(&s->pidfd));
	s->pid = 0;
	s->terminal->to = time(NULL);
	int front = nsi_take_fd(&s->front);
	if (r->slots->view >= 0 && !r->ending)
		keep_ready(r);
	close(front);
	recorder_note(r);
	hold_check(r);
	recorder_freed(r);
}

static int use(struct slot *s, struct nsi_error *err)
{
	struct recorder *r = s->recorder;

	s->terminal = new_terminal(r);
	if (!s->terminal)
		return nsi_fail(err, EUSERS, "recording", "a terminal", NULL);
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
	*s = (struct slot){.recorder = r, .as = as, .back = -1, .node = -1, .front = -1, .pidfd = -1};
	int res = make_ready(s, err);
	if (res == 0)
		slots->n++;
	return res;
}

/*
 * As many in all as sshd's MaxSessions is by default: so many may be asked for before we get to hear of any.
 * What could not be made ready before may be possible by now: its number is the next that the front gives.
 */
static void keep_ready(struct recorder *r)
{
	struct slots *slots = r->slots;
	struct nsi_error err = {0};
	int ready = 0, res = 0;

	for (int i = 0; i < slots->n; i++) {
		struct slot *s = &slots->list[i];

		if (s->back < 0 && s->pid == 0 && make_ready(s, &err) < 0)
			complain(r, &err);
		ready += is_ready(s);
	}
	for (; res == 0 && (ready < READY || slots->n < AT_ONCE); ready++)
		res = add_slot(r, slots->list[slots->n - 1].as + 1, &err);
	if (res < 0)
		complain(r, &err);
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

/* A node that has been removed is no longer linked: the number, if there is such a one, has been given anew.
 */
static bool is_taken(struct slot *s)
{
	char name[16];
	struct stat st;

	if (!is_ready(s) || (s->node >= 0 && fstat(s->node, &st) == 0 && st.st_nlink > 0))
		return false;
	if (s->node >= 0)
		close(nsi_take_fd(&s->node));
	snprintf(name, sizeof(name), "%u", s->as);
	s->node = openat(s->recorder->slots->front, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return s->node >= 0;
}

static void look_again(struct loop *loop, int fd, void *data)
{
	(void)loop, (void)fd;
	slots_look(data);
}

static void taken(struct slot *s)
{
	struct recorder *r = s->recorder;
	struct nsi_error err = {0};

	s->front = open_front(r->slots, s->as);
	if (s->front < 0 && errno == EIO) {
		/* On a busy host it takes longer; or it is given up without a word. */
		close(nsi_take_fd(&s->node));
		loop_timer_set(r->loop, &r->slots->again, AGAIN_MS, look_again, r);
	}
	if (s->front < 0)
		return; /* given up already */
	keep_ready(r);  /* first: whoever asks for many does not wait */
	if (use(s, &err) < 0) {
		complain(r, &err);
		if (s->back >= 0)
			close(nsi_take_fd(&s->back));
		close(nsi_take_fd(&s->front));
	}
}

void slots_look(struct recorder *r)
{
	for (int i = 0; i < r->slots->n; i++)
		if (is_taken(&r->slots->list[i]))
			taken(&r->slots->list[i]);
}

/* By dnotify, which unlike inotify(7) takes nothing of which all of root's processes have but 128. */
static int watch_front(struct recorder *r, struct nsi_error *err)
{
	struct slots *slots = r->slots;

	slots->changes = openat(slots->front, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (slots->changes < 0 || fcntl(slots->changes, F_NOTIFY, (long)DN_CREATE | DN_MULTISHOT) < 0)
		return nsi_fail(err, errno, "watching", "the terminals", "see fs.dir-notify-enable");
	return 0;
}

/* Take the numbers below the one that the next terminal of the container has. Not too many: what is asked for
 * is a name, and where it is needed there must not be another. */
static int take_below(struct recorder *r, unsigned *ret_first, struct nsi_error *err)
{
	struct slots *slots = r->slots;
	cleanup_fd int next = -1;
	unsigned number, at;
	int res = nsi_tty_master(r->devpts, &next, &number, err);

	const bool shared = r->order->root == 0;
	if (res == 0 && shared && number > MAX_BELOW_SHARED)
		return nsi_failf(
			err, EUSERS, "making", "a terminal", NULL, "%u are in use in the container", number);
	if (res == 0 && (shared || number < MAX_BELOW))
		*ret_first = number;
	for (unsigned i = 0; res == 0 && i < *ret_first; i++)
		res = nsi_tty_master(slots->front, &slots->below[i], &at, err);
	return res;
}

static int make_front(struct recorder *r, struct nsi_error *err)
{
	struct slots *slots = r->slots;
	int fds[NSI_MAX_FDS];
	unsigned first = 0;
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

	*s = (struct slot){.recorder = r, .back = -1, .node = -1, .front = -1, .pidfd = -1};
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

	r->shared = mmap(NULL, sizeof(*r->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!slots || r->shared == MAP_FAILED) {
		free(slots);
		return nsi_fail(err, ENOMEM, "making", "terminals", NULL);
	}
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
