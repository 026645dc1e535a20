/* What the kernel does to a container at its limits: told, so that the log can say why a process is gone. */
#ifndef NSINIT_WATCH_H
#define NSINIT_WATCH_H

#include "../../libcore/act/loop.h"
#include "../container/container.h"

struct watch;
struct place; /* one cgroup of the container, whose processes are told of together */

/* How a sentence is told. */
typedef void (*watch_tell_fn)(const struct container *c, const char *what);

/* Call `tell`, at most once in some seconds for each limit and place. NULL: the container has no cgroup. */
struct watch *watch_new(struct loop *loop, const struct container *c, watch_tell_fn tell);
void watch_free(struct watch *watch);

/* A session's group, of that name; `who` it is, for the log. NULL: there is no memory. */
struct place *watch_add(struct watch *watch, const char *name, const char *who);
/* Tells what has not been told yet, as long as the group is there. */
void watch_remove(struct watch *watch, struct place *place);

/* Whether the kernel has said in its log that it killed the process of that number for lack of memory. */
bool watch_killed(struct watch *watch, pid_t pid);
/* Whether it has killed, a moment ago, any process that is in no session's group: its log may not be there.
 */
bool watch_killed_any(struct watch *watch);

#endif
