/* A small event loop over poll(2), which unlike epoll also takes regular files. One per process. */
#ifndef NSINIT_LOOP_H
#define NSINIT_LOOP_H

#include <stdbool.h>

struct loop;
typedef void (*loop_fn)(struct loop *loop, int fd, void *data);

struct loop *loop_new(void);
void loop_free(struct loop *loop);

/* Watch `fd` for `events` (POLLIN, POLLOUT; 0 pauses it). One descriptor may be watched twice, for each way.
 */
bool loop_watch(struct loop *loop, int fd, short events, loop_fn fn, void *data);
void loop_events(struct loop *loop, int fd, loop_fn fn, short events);
/* Forget every watch of `fd`. To be called before it is closed. */
void loop_forget(struct loop *loop, int fd);

/* Call `fn` (with fd -1) in `ms` milliseconds; there is one timer. Negative: cancel. */
void loop_timer(struct loop *loop, long long ms, loop_fn fn, void *data);

/* Until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
