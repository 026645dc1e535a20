#include "loop.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct watch {
	loop_fn fn;
	void *data;
};

struct loop {
	struct pollfd *fds; /* fd -1: a free place */
	struct watch *watches;
	size_t n, size;
	bool stopped;
	long long timer; /* ms of CLOCK_MONOTONIC; 0: none */
	struct watch timer_watch;
};

static long long now_ms(void)
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

void loop_timer(struct loop *loop, long long ms, loop_fn fn, void *data)
{
	loop->timer = ms < 0 ? 0 : now_ms() + ms;
	loop->timer_watch = (struct watch){fn, data};
}

static int wait_ms(const struct loop *loop)
{
	if (!loop->timer)
		return -1;
	long long left = loop->timer - now_ms();
	return left < 0 ? 0 : left > 1000000000 ? 1000000000 : (int)left;
}

void loop_run(struct loop *loop)
{
	while (!loop->stopped) {
		int ready = poll(loop->fds, loop->n, wait_ms(loop));

		if (loop->timer && now_ms() >= loop->timer) {
			loop->timer = 0;
			loop->timer_watch.fn(loop, -1, loop->timer_watch.data);
		}
		/* A callback may add and forget watches: what it forgot has no events any more. */
		for (size_t i = 0; ready > 0 && i < loop->n && !loop->stopped; i++) {
			if (loop->fds[i].fd < 0 || !loop->fds[i].revents)
				continue;
			loop->fds[i].revents = 0;
			loop->watches[i].fn(loop, loop->fds[i].fd, loop->watches[i].data);
		}
	}
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}
