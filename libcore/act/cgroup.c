#include "cgroup.h"

#include "../base/cleanup.h"
#include "../base/io.h"
#include "../parse/proc.h"
#include "../parse/resources.h"
#include "proc.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

enum { FILE_BYTES = 4096 };

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

bool nsi_cgroup_number(int dir, const char *file, const char *name, unsigned long long *ret)
{
	char text[FILE_BYTES];

	return nsi_cgroup_read(dir, file, text, sizeof(text)) >= 0 && nsi_counter(text, name, ret);
}

int nsi_cgroup_put(int dir, const char *file, const char *text)
{
	cleanup_fd int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int open_dir(int dir, const char *path)
{
	return openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
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

int nsi_cgroup_lodging(void)
{
	const char *mount = nsi_cgroup_mount();
	char group[400], base[480], path[512];

	/* At the top there is no unit that could end. */
	if (!mount || !own_group(group, sizeof(group)) || strcmp(group, "/") == 0)
		return -1;
	find_base(mount, base, sizeof(base));
	for (int i = 0; i < 10; i++) {
		snprintf(path, sizeof(path), "%s/" NSI_CGROUP_PARENT, base);
		mkdir(path, 0755);
		snprintf(path, sizeof(path), "%s/" NSI_CGROUP_PARENT "/" NSI_CGROUP_LODGING, base);
		if (mkdir(path, 0755) == 0 || errno == EEXIST)
			return open_dir(AT_FDCWD, path);
		/* The end of a container may have removed the first meanwhile. */
		if (errno != ENOENT)
			return -1;
	}
	return -1;
}

/* ------------------------------------------------------------------ controllers and limits */

/* Hand a controller on from the group at `at`, below `dir`, to those below it. */
static int enable(int dir, const char *at, const char *controller)
{
	char file[40], text[FILE_BYTES], order[32];

	snprintf(file, sizeof(file), "%scgroup.subtree_control", at);
	if (nsi_cgroup_read(dir, file, text, sizeof(text)) >= 0 && nsi_has_word(text, controller))
		return 0;
	snprintf(order, sizeof(order), "+%s", controller);
	return nsi_cgroup_put(dir, file, order);
}

/* For the container's group: those above it hand it on. */
static int enable_above(const struct nsi_cgroup *c, const char *controller)
{
	int r = enable(c->dir, "../../", controller);

	return r < 0 ? r : enable(c->dir, "../", controller);
}

static int set(int dir, const struct nsi_resources *want, enum nsi_limit limit)
{
	char value[64];

	nsi_limit_value(want, limit, value, sizeof(value));
	return nsi_cgroup_put(dir, nsi_limit_file(limit), value);
}

/* A limit that cannot be kept, of the container or of its sessions ("session "). */
static int missing(struct nsi_cgroup *c, const char *whose, enum nsi_limit limit, bool best_effort, int code,
	struct nsi_error *err)
{
	const char *file = nsi_limit_file(limit);
	size_t used = strlen(c->note);

	if (best_effort) {
		snprintf(c->note + used, sizeof(c->note) - used, "%s%s%s", used ? ", " : "", whose, file);
		return 0;
	}
	nsi_failf(err, ENOTSUP, "limiting", file,
		"boot with cgroup v2 and this controller, take the limit out, or set resources = "
		"\"best-effort\" in the rule",
		"the %s controller of cgroup v2 is not to be had in %s (%s)", nsi_limit_controller(limit),
		c->base, strerrordesc_np(code));
	return nsi_error_reason(err, "resources");
}

static int apply(
	struct nsi_cgroup *c, const struct nsi_resources *want, bool best_effort, struct nsi_error *err)
{
	int r = 0;

	for (int i = 0; r == 0 && i < NSI_LIMITS; i++) {
		enum nsi_limit limit = (enum nsi_limit)i;
		int done = c->dir < 0 ? -ENOENT : 0;

		if (!nsi_limit_set(want, limit))
			continue;
		if (done == 0)
			done = enable_above(c, nsi_limit_controller(limit));
		if (done == 0)
			done = set(c->dir, want, limit);
		if (done < 0)
			r = missing(c, "", limit, best_effort, -done, err);
	}
	return r;
}

/* ------------------------------------------------------------------ the container's */

/* NSI_CGROUP_PARENT and the group below it. The end of another container may remove the first meanwhile. */
static int make_dirs(struct nsi_cgroup *c, const char *id)
{
	char parent[512];

	snprintf(parent, sizeof(parent), "%s/" NSI_CGROUP_PARENT, c->base);
	if (snprintf(c->path, sizeof(c->path), "%s/%s", parent, id) >= (int)sizeof(c->path))
		return -ENAMETOOLONG;
	for (int i = 0; i < 10; i++) {
		if (mkdir(parent, 0755) < 0 && errno != EEXIST)
			return -errno;
		if (mkdir(c->path, 0755) == 0) {
			c->dir = open_dir(AT_FDCWD, c->path);
			return c->dir < 0 ? -errno : 0;
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
	struct nsi_cgroup c = {.dir = -1, .own = -1, .base = "/sys/fs/cgroup"};
	const char *mount = nsi_cgroup_mount();
	int r = 0;

	if (mount) {
		find_base(mount, c.base, sizeof(c.base));
		r = make_dirs(&c, id);
	}
	if (r < 0) {
		nsi_fail(err, -r, "making the cgroup", c.path,
			r == -EROFS ? "ProtectControlGroups= of the unit that starts containers must be off"
				    : NULL);
		nsi_error_reason(err, "resources");
	}
	if (r == 0)
		r = apply(&c, want, best_effort, err);
	if (r < 0)
		nsi_cgroup_end(&c);
	else
		*ret = c;
	return r;
}

int nsi_cgroup_place(const struct nsi_cgroup *c)
{
	return c->own >= 0 ? c->own : c->dir;
}

/* ------------------------------------------------------------------ its sessions' */

/* Which limits the groups of sessions can have: the file is there, once the controller is handed on. */
static int prepare_sessions(
	struct nsi_cgroup *c, const struct nsi_resources *each, bool best_effort, struct nsi_error *err)
{
	int r = 0;

	/* To be told in which group the kernel kills, and refuses to fork, even if only others are limited.
	 */
	if (c->own >= 0 && enable_above(c, "memory") == 0)
		enable(c->dir, "", "memory");
	if (c->own >= 0 && enable_above(c, "pids") == 0)
		enable(c->dir, "", "pids");
	for (int i = 0; r == 0 && i < NSI_LIMITS; i++) {
		enum nsi_limit limit = (enum nsi_limit)i;
		const char *controller = nsi_limit_controller(limit);
		int done = c->own < 0 ? -ENOENT : 0;

		if (!nsi_limit_set(each, limit))
			continue;
		if (done == 0)
			done = enable_above(c, controller);
		if (done == 0)
			done = enable(c->dir, "", controller);
		if (done == 0 && faccessat(c->own, nsi_limit_file(limit), W_OK, 0) < 0)
			done = -errno;
		if (done < 0)
			r = missing(c, "session ", limit, best_effort, -done, err);
		else
			c->sessions.set |= 1U << limit;
	}
	return r;
}

int nsi_cgroup_divide(struct nsi_cgroup *c, int pidfd, const struct nsi_resources *each, bool best_effort,
	struct nsi_error *err)
{
	int r = 0;

	c->sessions = *each;
	c->sessions.set = 0;
	if (c->dir >= 0) {
		if (mkdirat(c->dir, NSI_CGROUP_OWN, 0755) < 0 ||
			(c->own = open_dir(c->dir, NSI_CGROUP_OWN)) < 0)
			r = nsi_fail(err, errno, "making the cgroup", c->path, NULL);
		else
			r = nsi_cgroup_move_process(c->own, pidfd, err);
	}
	if (r < 0)
		return nsi_error_reason(err, "resources");
	return prepare_sessions(c, each, best_effort, err);
}

int nsi_cgroup_open_session(const struct nsi_cgroup *c, const char *name, int *ret_dir, struct nsi_error *err)
{
	cleanup_fd int dir = -1;
	int r = mkdirat(c->dir, name, 0755) < 0 ? -errno : 0;

	if (r < 0) {
		nsi_fail(err, -r, "making the session's cgroup", name, NULL);
		nsi_error_reason(err, "resources");
		return r;
	}
	dir = open_dir(c->dir, name);
	if (dir < 0)
		r = nsi_fail(err, errno, "opening the session's cgroup", name, NULL);
	for (int i = 0; r == 0 && i < NSI_LIMITS; i++) {
		enum nsi_limit limit = (enum nsi_limit)i;
		int done = nsi_limit_set(&c->sessions, limit) ? set(dir, &c->sessions, limit) : 0;

		if (done < 0)
			r = nsi_fail(err, -done, "limiting the session by", nsi_limit_file(limit), NULL);
	}
	if (r < 0) {
		nsi_cgroup_close_session(c, name);
		return nsi_error_reason(err, "resources");
	}
	*ret_dir = nsi_take_fd(&dir);
	return 0;
}

bool nsi_cgroup_close_session(const struct nsi_cgroup *c, const char *name)
{
	return c->dir < 0 || unlinkat(c->dir, name, AT_REMOVEDIR) == 0 || errno != EBUSY;
}

/* ------------------------------------------------------------------ members */

int nsi_cgroup_move(int dir, pid_t pid, struct nsi_error *err)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	int r = nsi_cgroup_put(dir, "cgroup.procs", text);
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
	int r = nsi_cgroup_put(dir, "cgroup.freeze", frozen ? "1" : "0");

	return r < 0 ? nsi_fail(err, -r, "freezing", "the container's cgroup", NULL) : 0;
}

bool nsi_cgroup_frozen(int dir)
{
	unsigned long long frozen;

	return nsi_cgroup_number(dir, "cgroup.events", "frozen", &frozen) && frozen == 1;
}
