#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

/*
 * Writing to a pipe that poll() reports writable does not block for up to PIPE_BUF bytes; descriptors that
 * other processes share must not be made non-blocking.
 */
enum { INPUT, OUTPUT, ERROR, CHANNELS, CHUNK = 4096 };

/* At the end: how long our output may take nothing, and the most that a pipe can hold, pipe(7). */
enum { DRAIN_MS = 5000, DRAIN_BYTES = 1024 * 1024 };

/* How long a recorder's silence is taken for its end, where a process that was left behind keeps the terminal
 * open. */
enum { SILENCE_MS = 1000 };

struct channel {
	struct relay *relay;
	int from, to; /* -1: closed */
	size_t at, len;
	char data[CHUNK];
};

struct relay {
	struct loop *loop;
	bool raw, recorded;
	int in, out; /* our side of the command's terminal; in may be -1 */
	struct termios saved;
	int stdio[3]; /* for the command */
	bool ours[3]; /* whether stdio[i] is a pipe end of ours */
	int master;
	struct channel channels[CHANNELS];
};

static void read_some(struct loop *loop, int fd, void *data);
static void write_some(struct loop *loop, int fd, void *data);

static void close_to(struct channel *c)
{
	if (c->to < 0)
		return;
	loop_events(c->relay->loop, c->to, write_some, 0);
	/* The terminal's master serves both ways, and 1 and 2 are not ours. */
	if (c->to != c->relay->master && c->to > 2) {
		loop_forget(c->relay->loop, c->to);
		close(c->to);
	} else if (c->to == c->relay->master) {
		char end = 4; /* ^D: the only end of input that a terminal knows */
		(void)!write(c->to, &end, 1);
	}
	c->to = -1;
}

static void close_from(struct channel *c)
{
	if (c->from < 0)
		return;
	loop_events(c->relay->loop, c->from, read_some, 0);
	c->from = -1;
	if (c->len == 0)
		close_to(c);
}

/* False at the end of input. */
static bool fill(struct channel *c)
{
	ssize_t n = read(c->from, c->data, sizeof(c->data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n <= 0)
		return false;
	c->at = 0;
	c->len = (size_t)n;
	return true;
}

static void read_some(struct loop *loop, int fd, void *data)
{
	struct channel *c = data;

	if (!fill(c)) {
		close_from(c);
	} else if (c->len > 0) {
		loop_events(loop, fd, read_some, 0);
		loop_events(loop, c->to, write_some, POLLOUT);
	}
}

static bool flush(struct channel *c)
{
	while (c->len > 0) {
		ssize_t n = write(c->to, c->data + c->at, c->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		c->at += (size_t)n;
		c->len -= (size_t)n;
	}
	return true;
}

static void write_some(struct loop *loop, int fd, void *data)
{
	struct channel *c = data;

	if (!flush(c)) {
		c->len = 0;
		int from = c->from;
		close_from(c);
		close_to(c);
		if (from > 2 && from != c->relay->master) {
			/* Nobody reads it any more: the command is to see that as a broken pipe. */
			loop_forget(loop, from);
			close(from);
		}
		return;
	}
	if (c->len > 0)
		return;
	/* What the command writes comes in many pieces: without asking first, a quarter of the calls less.
	 * Reading the input might block, it is not ours alone. */
	if (c != &c->relay->channels[INPUT] && c->from >= 0 && fill(c) && c->len > 0)
		return;
	loop_events(loop, fd, write_some, 0);
	if (c->from >= 0)
		loop_events(loop, c->from, read_some, POLLIN);
	else
		close_to(c);
}

static void open_channel(struct relay *relay, int which, int from, int to)
{
	struct channel *c = &relay->channels[which];

	c->relay = relay;
	c->from = from;
	c->to = to;
	loop_watch(relay->loop, from, POLLIN, read_some, c);
	loop_watch(relay->loop, to, 0, write_some, c);
}

bool relay_may_cross(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	return S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) ||
	       (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
}

static bool copy_by_pipe(struct relay *relay, int fd)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	relay->ours[fd] = true;
	relay->stdio[fd] = fd == 0 ? ends[0] : ends[1];
	fcntl(fd == 0 ? ends[1] : ends[0], F_SETFL, O_NONBLOCK);
	if (fd == 0)
		open_channel(relay, INPUT, 0, ends[1]);
	else
		open_channel(relay, fd, ends[0], fd);
	return true;
}

struct relay *relay_new(struct loop *loop, const enum relay_way ways[3])
{
	static const int out_first[] = {0, 2, 1};
	struct relay *relay = calloc(1, sizeof(*relay));

	if (!relay)
		return NULL;
	*relay = (struct relay){.loop = loop, .master = -1, .in = -1, .out = -1};
	for (int i = 0; i < CHANNELS; i++)
		relay->channels[i] = (struct channel){.relay = relay, .from = -1, .to = -1};
	for (int fd = 0; fd < 3; fd++) {
		relay->stdio[fd] = ways[fd] == RELAY_TERMINAL ? -1 : fd;
		if (ways[out_first[fd]] == RELAY_TERMINAL)
			relay->out = out_first[fd];
		if (ways[fd] == RELAY_COPY && !copy_by_pipe(relay, fd)) {
			free(relay);
			return NULL;
		}
	}
	if (ways[0] == RELAY_TERMINAL)
		relay->in = 0;
	return relay;
}

const int *relay_stdio(const struct relay *relay)
{
	return relay->stdio;
}

void relay_started(struct relay *relay)
{
	for (int fd = 0; fd < 3; fd++) {
		if (relay->ours[fd])
			close(relay->stdio[fd]);
		relay->ours[fd] = false;
	}
}

void relay_resize(struct relay *relay)
{
	struct winsize size;

	if (relay->master >= 0 && ioctl(relay->out, TIOCGWINSZ, &size) == 0)
		ioctl(relay->master, TIOCSWINSZ, &size);
}

void relay_recorded(struct relay *relay)
{
	relay->recorded = true;
}

void relay_hangup(struct relay *relay)
{
	if (relay->master < 0)
		return;
	for (int i = INPUT; i <= OUTPUT; i++)
		relay->channels[i].from = relay->channels[i].to = -1;
	loop_forget(relay->loop, relay->master);
	if (relay->in >= 0)
		loop_forget(relay->loop, relay->in);
	loop_forget(relay->loop, relay->out);
	close(relay->master);
	relay->master = -1;
}

/* The terminal's modes are the foreground's. One that does not control us has no opinion. */
static bool in_background(const struct relay *relay)
{
	pid_t foreground = tcgetpgrp(relay->in);

	return foreground >= 0 && foreground != getpgrp();
}

/* Without input from there, keys that signal are still outside's business. */
static void make_raw(struct relay *relay)
{
	struct termios raw;

	if (relay->in < 0 || in_background(relay) || (!relay->raw && tcgetattr(relay->in, &relay->saved) < 0))
		return;
	raw = relay->saved;
	cfmakeraw(&raw);
	relay->raw = tcsetattr(relay->in, TCSADRAIN, &raw) == 0;
}

void relay_continued(struct relay *relay)
{
	if (relay->master >= 0)
		make_raw(relay);
}

/* The terminal outside stays as it is, and makes \r\n of line ends: once is enough. */
static void leave_line_ends(int master)
{
	struct termios t;

	if (tcgetattr(master, &t) < 0)
		return;
	t.c_oflag &= ~(tcflag_t)OPOST;
	tcsetattr(master, TCSANOW, &t);
}

void relay_terminal(struct relay *relay, int master)
{
	relay->master = master;
	fcntl(master, F_SETFL, O_NONBLOCK);
	relay_resize(relay);
	make_raw(relay);
	if (relay->in < 0)
		leave_line_ends(master);
	if (relay->in >= 0)
		open_channel(relay, INPUT, relay->in, master);
	open_channel(relay, OUTPUT, master, relay->out);
}

/* Who shares our output may have made it non-blocking; one that takes nothing any more is given up. */
static bool flush_all(struct channel *c)
{
	struct pollfd to = {.fd = c->to, .events = POLLOUT};

	while (flush(c) && c->len > 0)
		if (poll(&to, 1, DRAIN_MS) <= 0)
			return false;
	return c->len == 0;
}

/* What the command wrote last. A process that it left behind may hold the other end open, and go on writing.
 */
static void drain(struct channel *c)
{
	for (size_t n = 0; c->to >= 0 && flush_all(c) && n < DRAIN_BYTES; n += c->len) {
		struct pollfd more = {.fd = c->from, .events = POLLIN};

		if (c->from >= 0 && c->from == c->relay->master && c->relay->recorded)
			poll(&more, 1, SILENCE_MS);
		if (c->from < 0 || !fill(c) || c->len == 0)
			return;
	}
}

void relay_finish(struct relay *relay)
{
	if (!relay)
		return;
	for (int i = OUTPUT; i < CHANNELS; i++)
		drain(&relay->channels[i]);
	if (relay->raw && !in_background(relay))
		tcsetattr(relay->in, TCSADRAIN, &relay->saved);
	if (relay->master >= 0)
		close(relay->master);
	free(relay);
}
