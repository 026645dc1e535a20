#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { FULL_MS = 100 };

struct watch {
	loop_fn fn;
	void *data;
};

struct loop {
	struct pollfd *fds; /* fd -1: a free place */
	struct watch *watches;
	size_t n, size;
	bool stopped;
	struct loop_timer *timers; /* the next one first */
};

long long loop_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

struct loop *loop_new(void)
{
	return calloc(1, sizeof(struct loop));
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	free(loop->fds);
	free(loop->watches);
	free(loop);
}

static bool grow(struct loop *loop)
{
	size_t size = loop->size ? loop->size * 2 : 16;
	struct pollfd *fds = reallocarray(loop->fds, size, sizeof(*fds));

	if (!fds)
		return false;
	loop->fds = fds;
	struct watch *watches = reallocarray(loop->watches, size, sizeof(*watches));
	if (!watches)
		return false;
	loop->watches = watches;
	loop->size = size;
	return true;
}

bool loop_watch(struct loop *loop, int fd, short events, loop_fn fn, void *data)
{
	size_t at = 0;

	while (at < loop->n && loop->fds[at].fd != -1)
		at++;
	if (at == loop->size && !grow(loop))
		return false;
	if (at == loop->n)
		loop->n++;
	/* A paused watch is kept out of poll by a complemented descriptor: poll reports hangups unasked. */
	loop->fds[at] = (struct pollfd){.fd = events ? fd : ~fd - 1, .events = events};
	loop->watches[at] = (struct watch){fn, data};
	return true;
}

static bool is_of(const struct pollfd *p, int fd)
{
	return p->fd == fd || p->fd == ~fd - 1;
}

void loop_events(struct loop *loop, int fd, loop_fn fn, short events)
{
	for (size_t i = 0; i < loop->n; i++) {
		if (!is_of(&loop->fds[i], fd) || loop->watches[i].fn != fn)
			continue;
		loop->fds[i].fd = events ? fd : ~fd - 1;
		loop->fds[i].events = events;
		loop->fds[i].revents = 0;
	}
}

void loop_forget(struct loop *loop, int fd)
{
	for (size_t i = 0; i < loop->n; i++)
		if (is_of(&loop->fds[i], fd))
			loop->fds[i] = (struct pollfd){.fd = -1};
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	struct loop_timer **at = &loop->timers;

	while (*at && *at != timer)
		at = &(*at)->next;
	if (*at)
		*at = timer->next;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, long long ms, loop_fn fn, void *data)
{
	struct loop_timer **at = &loop->timers;

	loop_timer_cancel(loop, timer);
	*timer = (struct loop_timer){.at = loop_now() + ms, .fn = fn, .data = data};
	while (*at && (*at)->at <= timer->at)
		at = &(*at)->next;
	timer->next = *at;
	*at = timer;
}

static int wait_ms(const struct loop *loop)
{
	if (!loop->timers)
		return -1;
	long long left = loop->timers->at - loop_now();
	return left < 0 ? 0 : left > 1000000000 ? 1000000000 : (int)left;
}

/* What is due now: a timer that its callback sets again waits for the next round. */
static void run_timers(struct loop *loop)
{
	long long now = loop_now();

	while (loop->timers && loop->timers->at <= now && !loop->stopped) {
		struct loop_timer *due = loop->timers;

		loop->timers = due->next;
		due->fn(loop, -1, due->data);
	}
}

void loop_run(struct loop *loop)
{
	while (!loop->stopped) {
		int ready = poll(loop->fds, loop->n, wait_ms(loop));

		run_timers(loop);
		/* A callback may add and forget watches: what it forgot has no events any more. */
		for (size_t i = 0; ready > 0 && i < loop->n && !loop->stopped; i++) {
			if (loop->fds[i].fd < 0 || !loop->fds[i].revents)
				continue;
			loop->fds[i].revents = 0;
			loop->watches[i].fn(loop, loop->fds[i].fd, loop->watches[i].data);
		}
	}
}

int loop_accept(int fd)
{
	int sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	if (sock < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
		poll(NULL, 0, FULL_MS);
	return sock;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}
