#include "groups.h"

#include "../../libcore/base/cleanup.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum { MAX_OF_ONE_PID = 100, AGAIN_MS = 200 };

struct group {
	struct groups *all;
	struct group *next;
	struct group **slot; /* of the session; NULL: it has ended */
	char name[40];
	int dir;             /* while the session lasts, or -1 */
	struct place *place; /* where it is watched; NULL: there was no memory for that */
	int events;          /* cgroup.events, once the session has ended, or -1 */
	struct loop_timer again;
};

struct groups {
	struct loop *loop;
	const struct container *c;
	watch_tell_fn tell;
	struct watch *watch; /* NULL: there is no cgroup */
	struct group *list;
};

static void describe(const struct groups *groups, uid_t uid, pid_t leader, char *buf, size_t size)
{
	const struct nsi_plan *plan = groups->c->plan;

	if (uid == plan->login.uid)
		snprintf(buf, size, "user=%s leader=%d ", plan->login.name, (int)leader);
	else
		snprintf(buf, size, "uid=%u leader=%d ", (unsigned)uid, (int)leader);
}

/* ------------------------------------------------------------------ the end of one */

static void forget(struct group *g)
{
	struct groups *groups = g->all;
	struct group **at = &groups->list;

	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	if (g->slot)
		*g->slot = NULL;
	if (g->place)
		watch_remove(groups->watch, g->place);
	loop_timer_cancel(groups->loop, &g->again);
	if (g->events >= 0) {
		loop_forget(groups->loop, g->events);
		close(g->events);
	}
	if (g->dir >= 0)
		close(g->dir);
	free(g);
}

static void remove_if_empty(struct loop *loop, int fd, void *data)
{
	struct group *g = data;
	struct groups *groups = g->all;

	(void)fd;
	if (g->events >= 0 && nsi_cgroup_populated(g->events))
		return;
	/* What was counted last is told now: with the group its files go. */
	if (g->place)
		watch_remove(groups->watch, g->place);
	g->place = NULL;
	if (nsi_cgroup_close_session(&groups->c->cgroup, g->name))
		forget(g);
	else
		loop_timer_set(loop, &g->again, AGAIN_MS, remove_if_empty, g);
}

void group_close(struct group **slot)
{
	struct group *g = *slot;
	char file[64];

	if (!g)
		return;
	*slot = NULL;
	g->slot = NULL;
	close(nsi_take_fd(&g->dir));
	snprintf(file, sizeof(file), "%s/cgroup.events", g->name);
	g->events = openat(g->all->c->cgroup.dir, file, O_RDONLY | O_CLOEXEC);
	if (g->events >= 0 && !loop_watch(g->all->loop, g->events, POLLPRI, remove_if_empty, g))
		close(nsi_take_fd(&g->events)); /* then it is tried again and again */
	remove_if_empty(g->all->loop, -1, g);
}

/* ------------------------------------------------------------------ the beginning of one */

/* After the leader; what an earlier one of that number has left running has the name still. */
static int make(struct group *g, pid_t leader, struct nsi_error *err)
{
	int r = -EEXIST;

	for (int i = 1; r == -EEXIST && i <= MAX_OF_ONE_PID; i++) {
		if (i == 1)
			snprintf(g->name, sizeof(g->name), NSI_CGROUP_SESSION "%d", (int)leader);
		else
			snprintf(g->name, sizeof(g->name), NSI_CGROUP_SESSION "%d-%d", (int)leader, i);
		r = nsi_cgroup_open_session(&g->all->c->cgroup, g->name, &g->dir, err);
	}
	return r;
}

int group_open(struct groups *groups, uid_t uid, pid_t leader, struct group **slot, struct nsi_error *err)
{
	char who[320];

	if (!groups || groups->c->cgroup.own < 0)
		return 0;
	struct group *g = calloc(1, sizeof(*g));
	if (!g)
		return nsi_fail(err, ENOMEM, "making", "the session's cgroup", NULL);
	*g = (struct group){.all = groups, .dir = -1, .events = -1};
	int r = make(g, leader, err);
	if (r < 0) {
		free(g);
		return r;
	}
	describe(groups, uid, leader, who, sizeof(who));
	g->place = watch_add(groups->watch, g->name, who);
	g->next = groups->list;
	groups->list = g;
	g->slot = slot;
	*slot = g;
	return 0;
}

int group_dir(const struct container *c, const struct group *group)
{
	return group ? group->dir : nsi_cgroup_place(&c->cgroup);
}

/* ------------------------------------------------------------------ the whole */

void groups_session_ended(struct groups *groups, uid_t uid, pid_t leader, pid_t child)
{
	char what[400];
	pid_t killed = 0;

	if (groups && watch_killed(groups->watch, leader))
		killed = leader;
	else if (groups && watch_killed(groups->watch, child))
		killed = child;
	if (!killed)
		return;
	describe(groups, uid, leader, what, sizeof(what));
	snprintf(what + strlen(what), sizeof(what) - strlen(what),
		"the session has ended: out of memory, its process %d was killed", (int)killed);
	groups->tell(groups->c, what);
}

bool groups_killed_init(struct groups *groups)
{
	siginfo_t status = {.si_pid = 0};

	if (!groups || waitid(P_PID, (id_t)groups->c->pid1.pid, &status, WEXITED | WNOWAIT) < 0 ||
		status.si_code != CLD_KILLED || status.si_status != SIGKILL)
		return false;
	return watch_killed(groups->watch, groups->c->pid1.pid) || watch_killed_any(groups->watch);
}

struct groups *groups_new(struct loop *loop, const struct container *c, watch_tell_fn tell)
{
	struct groups *groups = calloc(1, sizeof(*groups));

	if (groups)
		*groups = (struct groups){
			.loop = loop, .c = c, .tell = tell, .watch = watch_new(loop, c, tell)};
	return groups;
}

void groups_free(struct groups *groups)
{
	if (!groups)
		return;
	while (groups->list)
		forget(groups->list);
	watch_free(groups->watch);
	free(groups);
}
