#include "watch.h"

#include "../../libcore/base/cleanup.h"
#include "../../libcore/parse/oom_record.h"
#include "../../libcore/parse/proc.h"
#include "../../libcore/parse/resources.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { QUIET_MS = 10000, MOMENT_MS = 1000, RECENT = 16, RECORD_MAX = 8192, RECORDS_MAX = 100000 };

enum kind { MEMORY, PIDS, KINDS };

static const struct {
	const char *file, *counter, *what;
	enum nsi_limit limit;
} kinds[KINDS] = {
	{"memory.events", "oom_kill", "out of memory: processes killed", NSI_MEMORY_MAX},
	{"pids.events", "max", "too many processes: forks refused", NSI_PIDS_MAX},
};

struct event {
	struct place *place;
	enum kind kind;
	int fd;                  /* -1: there is no such file */
	unsigned long long seen; /* what was told */
	struct loop_timer quiet; /* set: told a moment ago */
};

struct place {
	struct watch *watch;
	struct place *next;
	char name[40]; /* below the container's group; "": that group itself */
	char who[320]; /* whose session it is, and a space; "": nobody's */
	struct event events[KINDS];
	unsigned long long hits, hits_above; /* of the memory limit, its own and the container's, as told */
	char victims[128];                   /* not told yet */
	long long killed;                    /* loop_now() of the last kill; 0: none */
};

struct watch {
	struct loop *loop;
	const struct container *c;
	watch_tell_fn tell;
	int kernel_log; /* -1: it cannot be read */
	struct place *places;
	struct {
		pid_t pid;
		long long when;
	} recent[RECENT]; /* whom the kernel's log names */
	unsigned n_recent;
};

static bool is_session(const struct place *p)
{
	return p->who[0] != '\0';
}

static bool divided(const struct watch *w)
{
	return w->c->cgroup.own >= 0;
}

/* ------------------------------------------------------------------ the kernel's log */

static void note_victim(struct watch *w, struct place *p, const struct nsi_oom_victim *v)
{
	size_t used = strlen(p->victims);

	w->recent[w->n_recent % RECENT].pid = v->pid;
	w->recent[w->n_recent++ % RECENT].when = loop_now();
	if (used + sizeof(", 1234567890123456[2147483647], ...") < sizeof(p->victims))
		snprintf(p->victims + used, sizeof(p->victims) - used, "%s%s[%d]", used ? ", " : "", v->name,
			(int)v->pid);
	else if (used > 3 && strcmp(p->victims + used - 3, "...") != 0)
		snprintf(p->victims + used, sizeof(p->victims) - used, ", ...");
}

/* The hierarchy may be mounted elsewhere than at its root: the ends are compared. */
static bool is_in(const struct watch *w, const struct place *p, const char *group)
{
	char tail[96];
	int len = snprintf(tail, sizeof(tail), "/" NSI_CGROUP_PARENT "/%s%s%s", w->c->id,
		p->name[0] ? "/" : "", p->name);
	size_t n = strlen(group);

	return len > 0 && (size_t)len < sizeof(tail) && n >= (size_t)len &&
	       strcmp(group + n - (size_t)len, tail) == 0;
}

/* memory.events counts; only here it says whom. The record is there before the count. */
static void read_kernel_log(struct watch *w)
{
	struct nsi_oom_victim victim;
	char record[RECORD_MAX];

	for (int i = 0; w->kernel_log >= 0 && i < RECORDS_MAX; i++) {
		ssize_t n = read(w->kernel_log, record, sizeof(record) - 1);

		if (n < 0 && errno == EPIPE) /* some were overwritten before we came */
			continue;
		if (n < 0 && errno == EINVAL) /* longer than any is */
			lseek(w->kernel_log, 0, SEEK_END);
		if (n <= 0)
			return;
		record[n] = '\0';
		if (!nsi_parse_oom_record(record, &victim))
			continue;
		for (struct place *p = w->places; p; p = p->next)
			if (is_in(w, p, victim.group))
				note_victim(w, p, &victim);
	}
}

bool watch_killed(struct watch *w, pid_t pid)
{
	if (!w || pid <= 0)
		return false;
	read_kernel_log(w);
	for (unsigned i = 0; i < RECENT && i < w->n_recent; i++)
		if (w->recent[i].pid == pid && loop_now() - w->recent[i].when < QUIET_MS)
			return true;
	return false;
}

/* ------------------------------------------------------------------ counts */

static unsigned long long count(const struct event *e)
{
	unsigned long long n;
	char text[512];
	ssize_t len = pread(e->fd, text, sizeof(text) - 1, 0);

	text[len > 0 ? len : 0] = '\0';
	return nsi_counter(text, kinds[e->kind].counter, &n) ? n : 0;
}

/* How often the memory limit of that very group was hit. */
static unsigned long long hits_of(const struct watch *w, const char *name)
{
	unsigned long long n = 0;
	char file[80];

	snprintf(file, sizeof(file), "%s%smemory.events.local", name, name[0] ? "/" : "");
	nsi_cgroup_number(w->c->cgroup.dir, file, "oom", &n);
	return n;
}

static void limit_text(const struct nsi_resources *of, enum nsi_limit limit, const char *whose, char buf[80])
{
	char value[48];

	snprintf(buf, 80, "%s=%s%s", nsi_limit_file(limit), nsi_limit_text(of, limit, value, sizeof(value)),
		whose);
}

/* Which limit it was: the host's is none of ours. */
static void name_memory_limit(struct place *p, char buf[160])
{
	const struct watch *w = p->watch;
	unsigned long long hits = p->name[0] ? hits_of(w, p->name) : 0, above = hits_of(w, "");

	if (hits > p->hits && is_session(p))
		limit_text(&w->c->cgroup.sessions, NSI_MEMORY_MAX, " of the session", buf);
	else if (above > p->hits_above && nsi_limit_set(&w->c->plan->resources, NSI_MEMORY_MAX))
		limit_text(&w->c->plan->resources, NSI_MEMORY_MAX, "", buf);
	else
		snprintf(buf, 160, "the host's memory");
	p->hits = hits;
	p->hits_above = above;
}

/* Since Linux 6.11 the count is of the group whose limit was hit, before of the one that wanted to fork. */
static void name_pids_limit(const struct place *p, char buf[160])
{
	const struct watch *w = p->watch;
	const struct nsi_resources *all = &w->c->plan->resources, *each = &w->c->cgroup.sessions;
	bool own = is_session(p) && nsi_limit_set(each, NSI_PIDS_MAX);
	bool exact = faccessat(w->c->cgroup.dir, "pids.events.local", F_OK, 0) == 0;
	char text[80];

	snprintf(buf, 160, "a limit of the host");
	if (nsi_limit_set(all, NSI_PIDS_MAX) && !(own && exact))
		limit_text(all, NSI_PIDS_MAX, "", buf);
	if (!own)
		return;
	limit_text(each, NSI_PIDS_MAX, " of the session", text);
	if (exact || !nsi_limit_set(all, NSI_PIDS_MAX))
		snprintf(buf, 160, "%s", text);
	else
		snprintf(buf + strlen(buf), 160 - strlen(buf), " or %s", text);
}

static void look(struct loop *loop, int fd, void *data)
{
	struct event *e = data;
	struct place *p = e->place;
	char what[800], limit[160];
	unsigned long long now = count(e); /* read also while quiet: the file would stay ready */

	if (now > e->seen && e->kind == MEMORY) {
		p->killed = loop_now();
		read_kernel_log(p->watch);
	}
	if (fd >= 0 && e->quiet.at)
		return;
	e->quiet = (struct loop_timer){0};
	if (now <= e->seen)
		return;
	if (e->kind == MEMORY)
		name_memory_limit(p, limit);
	else
		name_pids_limit(p, limit);
	bool named = e->kind == MEMORY && p->victims[0];
	snprintf(what, sizeof(what), "%s%s: %llu (%s)%s%s", p->who, kinds[e->kind].what, now - e->seen, limit,
		named ? ": " : "", named ? p->victims : "");
	if (named)
		p->victims[0] = '\0';
	e->seen = now;
	p->watch->tell(p->watch->c, what);
	loop_timer_set(loop, &e->quiet, QUIET_MS, look, e);
}

bool watch_killed_any(struct watch *w)
{
	long long now = loop_now();

	for (const struct place *p = w ? w->places : NULL; p; p = p->next) {
		const struct event *e = &p->events[MEMORY];

		if (!is_session(p) && e->fd >= 0 &&
			(count(e) > e->seen || (p->killed && now - p->killed < MOMENT_MS)))
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------ places */

/*
 * Kills are counted where the processes are, and above: once is enough. Refused forks are counted there too,
 * or since Linux 6.11 at the limit, and above; what is the container's own is then in a file of its own.
 */
static int open_events(const struct place *p, enum kind kind)
{
	int dir = p->watch->c->cgroup.dir, fd = -1;
	char file[80];

	if (!p->name[0] && kind == MEMORY && divided(p->watch))
		return -1;
	snprintf(file, sizeof(file), "%s%s%s", p->name, p->name[0] ? "/" : "", kinds[kind].file);
	if (!p->name[0] && kind == PIDS)
		fd = openat(dir, "pids.events.local", O_RDONLY | O_CLOEXEC);
	return fd >= 0 ? fd : openat(dir, file, O_RDONLY | O_CLOEXEC);
}

struct place *watch_add(struct watch *w, const char *name, const char *who)
{
	struct place *p = w ? calloc(1, sizeof(*p)) : NULL;

	if (!p)
		return NULL;
	*p = (struct place){.watch = w, .next = w->places};
	snprintf(p->name, sizeof(p->name), "%s", name);
	snprintf(p->who, sizeof(p->who), "%s", who);
	p->hits_above = hits_of(w, "");
	for (int i = 0; i < KINDS; i++) {
		struct event *e = &p->events[i];

		*e = (struct event){.place = p, .kind = (enum kind)i};
		e->fd = open_events(p, e->kind); /* without the controller there is none */
		if (e->fd < 0)
			continue;
		e->seen = count(e);
		loop_watch(w->loop, e->fd, POLLPRI, look, e);
	}
	w->places = p;
	return p;
}

void watch_remove(struct watch *w, struct place *p)
{
	struct place **at = &w->places;

	for (int i = 0; i < KINDS; i++) {
		struct event *e = &p->events[i];

		if (e->fd < 0)
			continue;
		loop_timer_cancel(w->loop, &e->quiet);
		e->quiet = (struct loop_timer){0};
		look(w->loop, -1, e); /* what came last is said before the end */
		loop_timer_cancel(w->loop, &e->quiet);
		loop_forget(w->loop, e->fd);
		close(e->fd);
	}
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	free(p);
}

struct watch *watch_new(struct loop *loop, const struct container *c, watch_tell_fn tell)
{
	struct watch *w = c->cgroup.dir < 0 ? NULL : calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	*w = (struct watch){.loop = loop, .c = c, .tell = tell, .kernel_log = -1};
	if (faccessat(nsi_cgroup_place(&c->cgroup), "memory.events", F_OK, 0) == 0)
		w->kernel_log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (w->kernel_log >= 0)
		lseek(w->kernel_log, 0, SEEK_END);
	watch_add(w, "", "");
	if (divided(w))
		watch_add(w, NSI_CGROUP_OWN, "");
	return w;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	while (w->places)
		watch_remove(w, w->places);
	if (w->kernel_log >= 0)
		close(w->kernel_log);
	free(w);
}
