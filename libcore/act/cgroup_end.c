/* The end of a container's cgroup, and of those below it. */
#include "cgroup.h"

#include "../base/cleanup.h"
#include "../parse/proc.h"

#include <fcntl.h>
#include <fts.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { END_BY_ITSELF_MS = 250, END_KILLED_MS = 3000 };

bool nsi_cgroup_populated(int events)
{
	unsigned long long processes;
	char text[256];
	ssize_t n = pread(events, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return nsi_counter(text, "populated", &processes) && processes > 0;
}

static bool wait_empty(int events, int ms)
{
	struct pollfd p = {.fd = events, .events = POLLPRI};

	/* Short sleeps beside the notification: the kernel sends at most one in 10 ms. */
	for (; nsi_cgroup_populated(events) && ms > 0; ms -= 10)
		poll(&p, 1, 10);
	return !nsi_cgroup_populated(events);
}

static void kill_members(int dir)
{
	char text[4096];
	const char *rest = text;
	pid_t pid;

	if (nsi_cgroup_read(dir, "cgroup.procs", text, sizeof(text)) < 0)
		return;
	while (nsi_next_pid(&rest, &pid))
		kill(pid, SIGKILL);
}

/* `fn` for each group below, those below it first. */
static void each_below(const char *path, void (*fn)(const char *group))
{
	char top[512];
	char *const tops[] = {top, NULL};
	const FTSENT *entry;

	snprintf(top, sizeof(top), "%s", path);
	FTS *tree = fts_open(tops, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
	while (tree && (entry = fts_read(tree)))
		if (entry->fts_info == FTS_DP && entry->fts_level > 0)
			fn(entry->fts_path);
	if (tree)
		fts_close(tree);
}

static void kill_in(const char *group)
{
	cleanup_fd int dir = open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (dir >= 0)
		kill_members(dir);
}

static void remove_group(const char *group)
{
	rmdir(group);
}

/* cgroup.kill, which takes those below as well, is of Linux 5.14; before that one after the other, again and
 * again. */
static void kill_all(int dir, const char *path)
{
	if (nsi_cgroup_put(dir, "cgroup.kill", "1") == 0)
		return;
	kill_members(dir);
	each_below(path, kill_in);
}

/* What ends with pid 1 does so by itself, in order; the rest is killed. */
static void end(int dir, const char *path, int patience_ms)
{
	cleanup_fd int events = openat(dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
	char parent[512];

	if (events >= 0 && !wait_empty(events, patience_ms))
		for (int i = 0; i < END_KILLED_MS / 100; i++) {
			kill_all(dir, path);
			if (wait_empty(events, 100))
				break;
		}
	for (int i = 0; i < 100; i++) {
		each_below(path, remove_group);
		if (rmdir(path) == 0 || errno != EBUSY)
			break;
		poll(NULL, 0, 10);
	}
	snprintf(parent, sizeof(parent), "%s", path);
	*strrchr(parent, '/') = '\0';
	rmdir(parent); /* if it was the last container */
}

void nsi_cgroup_end(struct nsi_cgroup *c)
{
	if (c->own >= 0)
		close(nsi_take_fd(&c->own));
	if (c->dir < 0)
		return;
	end(c->dir, c->path, END_BY_ITSELF_MS);
	close(nsi_take_fd(&c->dir));
}

static int open_ours(const char *path)
{
	return strstr(path, "/" NSI_CGROUP_PARENT "/") ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

void nsi_cgroup_sweep(const char *path)
{
	cleanup_fd int dir = open_ours(path);

	if (dir >= 0)
		end(dir, path, 0);
}

void nsi_cgroup_thaw(const char *path)
{
	cleanup_fd int dir = open_ours(path);

	if (dir >= 0)
		nsi_cgroup_put(dir, "cgroup.freeze", "0");
}
