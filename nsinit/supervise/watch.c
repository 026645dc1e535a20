#include "watch.h"

#include "../../libcore/base/cleanup.h"
#include "../../libcore/parse/proc.h"
#include "../../libcore/parse/resources.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

enum { QUIET_MS = 10000, KINDS = 2 };

static const struct {
	const char *file, *counter, *what;
	enum nsi_limit limit;
} kinds[KINDS] = {
	{"memory.events", "oom_kill", "out of memory: processes killed", NSI_MEMORY_MAX},
	{"pids.events", "max", "too many processes: forks refused", NSI_PIDS_MAX},
};

struct watch {
	struct loop *loop;
	const struct container *c;
	void (*tell)(const struct container *, const char *);
	struct event {
		struct watch *watch;
		int kind, fd;
		unsigned long long seen; /* what was told */
		struct loop_timer quiet; /* set: told a moment ago */
	} events[KINDS];
};

static unsigned long long count(const struct event *e)
{
	unsigned long long n;
	char text[512];
	ssize_t len = pread(e->fd, text, sizeof(text) - 1, 0);

	text[len > 0 ? len : 0] = '\0';
	return nsi_counter(text, kinds[e->kind].counter, &n) ? n : 0;
}

static void look(struct loop *loop, int fd, void *data)
{
	struct event *e = data;
	char what[160], limit[48];
	unsigned long long now = count(e); /* read also while quiet: the file would stay ready */

	if (fd >= 0 && e->quiet.at)
		return;
	e->quiet = (struct loop_timer){0};
	if (now <= e->seen)
		return;
	snprintf(what, sizeof(what), "%s: %llu (%s=%s)", kinds[e->kind].what, now - e->seen,
		nsi_limit_file(kinds[e->kind].limit),
		nsi_limit_text(&e->watch->c->plan->resources, kinds[e->kind].limit, limit, sizeof(limit)));
	e->seen = now;
	e->watch->tell(e->watch->c, what);
	loop_timer_set(loop, &e->quiet, QUIET_MS, look, e);
}

struct watch *watch_new(struct loop *loop, const struct container *c,
	void (*tell)(const struct container *c, const char *what))
{
	struct watch *w = c->cgroup.dir < 0 ? NULL : calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	*w = (struct watch){.loop = loop, .c = c, .tell = tell};
	for (int i = 0; i < KINDS; i++) {
		struct event *e = &w->events[i];

		e->watch = w;
		e->kind = i;
		/* Without the controller there is no such file. */
		e->fd = openat(c->cgroup.dir, kinds[i].file, O_RDONLY | O_CLOEXEC);
		if (e->fd < 0 || !nsi_limit_set(&c->plan->resources, kinds[i].limit))
			continue;
		e->seen = count(e);
		loop_watch(loop, e->fd, POLLPRI, look, e);
	}
	return w;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	for (int i = 0; i < KINDS; i++) {
		struct event *e = &w->events[i];

		if (e->fd < 0)
			continue;
		loop_timer_cancel(w->loop, &e->quiet);
		e->quiet = (struct loop_timer){0};
		look(w->loop, -1, e); /* what came last is said before the end */
		loop_timer_cancel(w->loop, &e->quiet);
		loop_forget(w->loop, e->fd);
		close(e->fd);
	}
	free(w);
}
