/* What the kernel does to a container at its limits: told, so that the log can say why a process is gone. */
#ifndef NSINIT_WATCH_H
#define NSINIT_WATCH_H

#include "../../libcore/act/loop.h"
#include "../container/container.h"

struct watch;

/* Call `tell` with a sentence; at most once in some seconds for each limit. NULL: the container has no
 * cgroup. */
struct watch *watch_new(struct loop *loop, const struct container *c,
	void (*tell)(const struct container *c, const char *what));
void watch_free(struct watch *watch);

#endif
