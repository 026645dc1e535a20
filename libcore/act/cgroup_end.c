/* The end of a container's cgroup, and of those below it. */
#include "cgroup.h"

#include "../base/cleanup.h"
#include "../parse/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Nobody inside can make groups, unless with the host's own uid 0: that one gets no endless descent either.
 */
enum { END_BY_ITSELF_MS = 250, END_KILLED_MS = 3000, DEPTH_MAX = 16 };

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

/* Of each group below, and of those below it first: kill its members, or remove it. */
static void descend(int dir, bool removing, int depth)
{
	int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = again < 0 ? NULL : fdopendir(again);
	const struct dirent *entry;

	if (!list) {
		if (again >= 0)
			close(again);
		return;
	}
	while ((entry = readdir(list))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		cleanup_fd int below =
			openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (below >= 0 && depth < DEPTH_MAX)
			descend(below, removing, depth + 1);
		if (removing)
			unlinkat(dir, entry->d_name, AT_REMOVEDIR);
		else if (below >= 0)
			kill_members(below);
	}
	closedir(list);
}

/* cgroup.kill, which takes those below as well, is of Linux 5.14; before that one after the other, again and
 * again. */
static void kill_all(int dir)
{
	if (nsi_cgroup_put(dir, "cgroup.kill", "1") == 0)
		return;
	kill_members(dir);
	descend(dir, false, 0);
}

/* What ends with pid 1 does so by itself, in order; the rest is killed. */
static void end(int dir, const char *path, int patience_ms)
{
	cleanup_fd int events = openat(dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
	char parent[512];

	if (events >= 0 && !wait_empty(events, patience_ms))
		for (int i = 0; i < END_KILLED_MS / 100; i++) {
			kill_all(dir);
			if (wait_empty(events, 100))
				break;
		}
	for (int i = 0; i < 100; i++) {
		descend(dir, true, 0);
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
