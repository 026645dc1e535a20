/* A small event loop over poll(2), which unlike epoll also takes regular files. One per process. */
#ifndef NSINIT_LOOP_H
#define NSINIT_LOOP_H

#include <stdbool.h>

struct loop;
typedef void (*loop_fn)(struct loop *loop, int fd, void *data);

/* A timer is its owner's memory, so that setting one cannot fail; all zero: not set. */
struct loop_timer {
	long long at; /* ms of loop_now() */
	loop_fn fn;
	void *data;
	struct loop_timer *next;
};

struct loop *loop_new(void);
void loop_free(struct loop *loop);

/* Watch `fd` for `events` (POLLIN, POLLOUT; 0 pauses it). One descriptor may be watched twice, for each way.
 */
bool loop_watch(struct loop *loop, int fd, short events, loop_fn fn, void *data);
void loop_events(struct loop *loop, int fd, loop_fn fn, short events);
/* Forget every watch of `fd`. To be called before it is closed. */
void loop_forget(struct loop *loop, int fd);

/* Milliseconds of CLOCK_MONOTONIC. */
long long loop_now(void);

/* Call `fn` (with fd -1) once, in `ms` milliseconds. Setting a timer anew moves it. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, long long ms, loop_fn fn, void *data);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/*
 * Accept a connection at listening socket `fd`; -1: none. Where there is no descriptor for it this waits a
 * moment, since poll(2) finds it waiting without end.
 */
int loop_accept(int fd);

/* Until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
