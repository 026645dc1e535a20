#include "cgroup.h"

#include "../base/cleanup.h"
#include "../base/io.h"
#include "../parse/proc.h"
#include "../parse/resources.h"
#include "proc.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

enum { END_BY_ITSELF_MS = 250, END_KILLED_MS = 3000, FILE_BYTES = 4096 };

#define PARENT "nsinit"

/* ------------------------------------------------------------------ files */

ssize_t nsi_cgroup_read(int dir, const char *file, char *buf, size_t size)
{
	cleanup_fd int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return n;
}

static int put(int dir, const char *file, const char *text)
{
	cleanup_fd int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int open_dir(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* ------------------------------------------------------------------ the place */

/* Where systemd mounts version 2: alone, or beside version 1. */
const char *nsi_cgroup_mount(void)
{
	static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified", NULL};
	struct statfs fs;

	for (size_t i = 0; mounts[i]; i++)
		if (statfs(mounts[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
			return mounts[i];
	return NULL;
}

/* This process's group below the hierarchy's mount, "/" for the root. */
static bool own_group(char *group, size_t size)
{
	char text[FILE_BYTES];

	return nsi_cgroup_read(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text)) >= 0 &&
	       nsi_cgroup_line(text, group, size);
}

static bool delegated(const char *path)
{
	static const char *const marks[] = {"user.delegate", "trusted.delegate"};
	struct stat st;
	char value = '0';

	if (lstat(path, &st) < 0 || st.st_uid != 0)
		return false;
	for (size_t i = 0; i < 2 && value != '1'; i++)
		if (getxattr(path, marks[i], &value, 1) != 1)
			value = '0';
	return value == '1';
}

/*
 * Below a unit of ours that has Delegate=yes, provided that we run in a group below it (DelegateSubgroup=): a
 * group with processes of its own cannot hand on controllers, and systemd could not start the unit again
 * while a container lives. Another's unit, a user's session, ends when it ends. Otherwise at the top, where
 * the engines that do without systemd have their groups.
 */
static void find_base(const char *mount, char *base, size_t size)
{
	char group[400];

	snprintf(base, size, "%s", mount);
	if (!own_group(group, sizeof(group)))
		return;
	for (char *slash = strrchr(group, '/'); slash && slash != group; slash = strrchr(group, '/')) {
		*slash = '\0';
		const char *name = strrchr(group, '/');
		if (!name || strncmp(name, "/nsinit", 7) != 0)
			continue;
		snprintf(base, size, "%s%s", mount, group);
		if (delegated(base))
			return;
	}
	snprintf(base, size, "%s", mount);
}

/* ------------------------------------------------------------------ controllers and limits */

/* Hand a controller on from this group to those below it. */
static bool enable(int dir, const char *controller)
{
	char text[FILE_BYTES], order[32];

	if (nsi_cgroup_read(dir, "cgroup.subtree_control", text, sizeof(text)) >= 0 &&
		nsi_has_word(text, controller))
		return true;
	snprintf(order, sizeof(order), "+%s", controller);
	return put(dir, "cgroup.subtree_control", order) == 0;
}

static int missing(struct nsi_cgroup *c, enum nsi_limit limit, bool best_effort, const char *where, int code,
	struct nsi_error *err)
{
	const char *file = nsi_limit_file(limit);
	size_t used = strlen(c->note);

	if (best_effort) {
		snprintf(c->note + used, sizeof(c->note) - used, "%s%s", used ? ", " : "", file);
		return 0;
	}
	nsi_failf(err, ENOTSUP, "limiting", file,
		"boot with cgroup v2 and this controller, take the limit out, or set resources = "
		"\"best-effort\" in the rule",
		"the %s controller of cgroup v2 is not to be had in %s (%s)", nsi_limit_controller(limit),
		where, strerrordesc_np(code));
	return nsi_error_reason(err, "resources");
}

static int apply(struct nsi_cgroup *c, int base, int parent, const struct nsi_resources *want,
	bool best_effort, const char *where, struct nsi_error *err)
{
	char value[64];
	int r = 0;

	for (int i = 0; r == 0 && i < NSI_LIMITS; i++) {
		enum nsi_limit limit = (enum nsi_limit)i;
		const char *controller = nsi_limit_controller(limit);
		int done;

		if (!nsi_limit_set(want, limit))
			continue;
		nsi_limit_value(want, limit, value, sizeof(value));
		if (!enable(base, controller) || !enable(parent, controller))
			done = -errno;
		else
			done = put(c->dir, nsi_limit_file(limit), value);
		if (done < 0)
			r = missing(c, limit, best_effort, where, -done, err);
	}
	return r;
}

/* ------------------------------------------------------------------ its life */

/* "nsinit" and the group below it. The end of another container may remove the first meanwhile. */
static int make_dirs(const char *base, struct nsi_cgroup *c, const char *id, int *ret_parent)
{
	char parent[496];

	snprintf(parent, sizeof(parent), "%s/" PARENT, base);
	if (snprintf(c->path, sizeof(c->path), "%s/%s", parent, id) >= (int)sizeof(c->path))
		return -ENAMETOOLONG;
	for (int i = 0; i < 10; i++) {
		if (mkdir(parent, 0755) < 0 && errno != EEXIST)
			return -errno;
		if (mkdir(c->path, 0755) == 0) {
			c->dir = open_dir(c->path);
			*ret_parent = open_dir(parent);
			return c->dir < 0 || *ret_parent < 0 ? -errno : 0;
		}
		if (errno == EEXIST)
			nsi_cgroup_sweep(c->path);
		else if (errno != ENOENT)
			return -errno;
	}
	return -EBUSY;
}

int nsi_cgroup_make(const char *id, const struct nsi_resources *want, bool best_effort,
	struct nsi_cgroup *ret, struct nsi_error *err)
{
	struct nsi_cgroup c = {.dir = -1};
	cleanup_fd int parent = -1, base_dir = -1;
	const char *mount = nsi_cgroup_mount();
	char base[480];
	int r = 0;

	if (!mount) {
		for (int i = 0; r == 0 && i < NSI_LIMITS; i++)
			if (nsi_limit_set(want, (enum nsi_limit)i))
				r = missing(
					&c, (enum nsi_limit)i, best_effort, "/sys/fs/cgroup", ENOENT, err);
		if (r == 0)
			*ret = c;
		return r;
	}
	find_base(mount, base, sizeof(base));
	r = make_dirs(base, &c, id, &parent);
	if (r == 0 && (base_dir = open_dir(base)) < 0)
		r = -errno;
	if (r < 0) {
		nsi_fail(err, -r, "making the cgroup", c.path,
			r == -EROFS ? "ProtectControlGroups= of the unit that starts containers must be off"
				    : NULL);
		nsi_error_reason(err, "resources");
	}
	if (r == 0)
		r = apply(&c, base_dir, parent, want, best_effort, base, err);
	if (r < 0)
		nsi_cgroup_end(&c);
	else
		*ret = c;
	return r;
}

int nsi_cgroup_move(int dir, pid_t pid, struct nsi_error *err)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	int r = put(dir, "cgroup.procs", text);
	return r < 0 ? nsi_fail(err, -r, "moving to", "the container's cgroup",
			       r == -ENODEV ? "it has ended" : NULL)
		     : 0;
}

int nsi_cgroup_move_process(int dir, int pidfd, struct nsi_error *err)
{
	pid_t pid;

	if (nsi_pidfd_number(pidfd, &pid) < 0)
		return nsi_failf(
			err, ESRCH, "moving to", "the container's cgroup", NULL, "the process has ended");
	return nsi_cgroup_move(dir, pid, err);
}

int nsi_cgroup_freeze(int dir, bool frozen, struct nsi_error *err)
{
	int r = put(dir, "cgroup.freeze", frozen ? "1" : "0");

	return r < 0 ? nsi_fail(err, -r, "freezing", "the container's cgroup", NULL) : 0;
}

bool nsi_cgroup_frozen(int dir)
{
	unsigned long long frozen;
	char text[256];

	return nsi_cgroup_read(dir, "cgroup.events", text, sizeof(text)) > 0 &&
	       nsi_counter(text, "frozen", &frozen) && frozen == 1;
}

static bool populated(int events)
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
	for (; populated(events) && ms > 0; ms -= 10)
		poll(&p, 1, 10);
	return !populated(events);
}

/* cgroup.kill is of Linux 5.14; before that one after the other, again and again. */
static void kill_all(int dir)
{
	char text[FILE_BYTES];
	const char *rest = text;
	pid_t pid;

	if (put(dir, "cgroup.kill", "1") == 0 || nsi_cgroup_read(dir, "cgroup.procs", text, sizeof(text)) < 0)
		return;
	while (nsi_next_pid(&rest, &pid))
		kill(pid, SIGKILL);
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
	for (int i = 0; rmdir(path) < 0 && errno == EBUSY && i < 100; i++)
		poll(NULL, 0, 10);
	snprintf(parent, sizeof(parent), "%s", path);
	*strrchr(parent, '/') = '\0';
	rmdir(parent); /* if it was the last container */
}

void nsi_cgroup_end(struct nsi_cgroup *c)
{
	if (c->dir < 0)
		return;
	end(c->dir, c->path, END_BY_ITSELF_MS);
	close(nsi_take_fd(&c->dir));
}

void nsi_cgroup_sweep(const char *path)
{
	cleanup_fd int dir = strstr(path, "/" PARENT "/") ? open_dir(path) : -1;

	if (dir >= 0)
		end(dir, path, 0);
}

void nsi_cgroup_thaw(const char *path)
{
	cleanup_fd int dir = strstr(path, "/" PARENT "/") ? open_dir(path) : -1;

	if (dir >= 0)
		put(dir, "cgroup.freeze", "0");
}
