/* nsinit check: a root directory as it lies there. Nothing in it is changed. */
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/base/str.h"
#include "../../libcore/process/idmap.h"
#include "../../libcore/whole/rootfs.h"
#include "../../libcore/whole/state.h"
#include "check.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* A path inside, its links followed as the container would. -1: it does not exist. */
static int open_inside(int rootfd, const char *path)
{
	return nsi_openat2(rootfd, path, O_PATH | O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

static bool is_there(int rootfd, const char *path)
{
	cleanup_fd int fd = open_inside(rootfd, path);

	return fd >= 0;
}

static void look_at_contents(int rootfd, struct check_tree *tree, struct check_warnings *w)
{
	static const char *const shells[] = {"/bin/sh", "/bin/bash", "/bin/ash", "/bin/zsh", NULL};

	for (size_t i = 0; shells[i] && !tree->shell; i++)
		if (is_there(rootfd, shells[i]))
			tree->shell = shells[i];
	tree->passwd = is_there(rootfd, "/etc/passwd");
	if (!tree->shell)
		check_warn(w, "no-shell", "install a system into it: see docs/images.md",
			"%s has no shell in /bin", tree->path);
	if (!tree->passwd)
		check_warn(w, "no-passwd", "make one, with root at least",
			"%s has no /etc/passwd: programs inside cannot tell names of users", tree->path);
}

/* By a mount among the first `n` operations: then the directory below is not the root directory's. */
static bool covered(const struct check_container *c, int n, const char *target)
{
	struct check_mount m;

	for (int at = 0; check_next_mount(c, &at, &m) && at <= n;)
		if (nsi_path_below(target, m.target))
			return true;
	return false;
}

static void look_at_mount_points(int rootfd, const struct check_container *c, struct check_tree *tree)
{
	struct check_mount m;

	for (int at = 0, n = 0; tree->n_missing < CHECK_MAX_TARGETS && check_next_mount(c, &at, &m); n = at)
		if (!covered(c, n, m.target) && !is_there(rootfd, m.target))
			memcpy(tree->missing[tree->n_missing++], m.target, sizeof(m.target));
}

/* Root's, or a subordinate range's: ownership = "shifted". */
static bool is_shifted(const struct check_tree *tree)
{
	return tree->dir.st_uid >= NSI_RANGE_SIZE && tree->dir.st_uid == tree->dir.st_gid;
}

/* As a login would: owner and mode of it and of all that leads there. An ordinary user's own is not for them.
 */
static void look_as_login(struct check_tree *tree, bool own, struct check_warnings *w)
{
	struct nsi_decision login = {.verdict = NSI_CONTAINER,
		.ownership = is_shifted(tree) ? NSI_OWNERSHIP_SHIFTED : NSI_OWNERSHIP_HOST};
	struct nsi_error err = {0};
	cleanup_fd int fd = -1;

	if (!nsi_copy(login.rootfs, sizeof(login.rootfs), tree->path)) {
		snprintf(tree->refusal, sizeof(tree->refusal), "the path is longer than a policy can name");
		return;
	}
	if (nsi_rootfs_open(&login, &fd, &err) == 0)
		return;
	nsi_error_text(&err, tree->refusal, sizeof(tree->refusal));
	if (!own)
		check_warn_error(w, "refused-to-logins", "logins would be refused", &err);
}

static void look_at_file(int rootfd, struct check_tree *tree, struct check_warnings *w)
{
	cleanup_fd int fd = open_inside(rootfd, "container.json");

	if (fd < 0 || fstat(fd, &tree->file) < 0)
		return;
	if (tree->file.st_uid != tree->dir.st_uid || (tree->file.st_mode & 022))
		check_warn(w, "container-json-owner", "chown it to the directory's owner; chmod go-w",
			"container.json belongs to uid %u with mode %04o: others than who owns %s decide "
			"what "
			"the container may do",
			(unsigned)tree->file.st_uid, (unsigned)(tree->file.st_mode & 07777), tree->path);
}

static void look_at_life(int rootfd, struct check_tree *tree, struct check_warnings *w)
{
	char id[NSI_ID_SIZE];
	struct nsi_state state;
	struct nsi_error err = {0};
	bool noted = faccessat(rootfd, ".nspid", F_OK, AT_SYMLINK_NOFOLLOW) == 0;

	if (nsi_container_id(rootfd, id, &err) < 0) {
		check_warn_error(w, "host-root", "no container can be made of it", &err);
		return;
	}
	int r = nsi_state_read(id, &state, &err);
	/* Only root can see what root started. */
	if (r < 0 && (r != -ENOENT || (noted && geteuid() != 0))) {
		tree->life = CHECK_LIFE_UNKNOWN;
		return;
	}
	cleanup_fd int process = r < 0 ? -1 : nsi_open_process(state.pid1, state.pid1_start);
	if (process >= 0) {
		tree->life = CHECK_LIVE;
		tree->pid = state.pid1;
	} else if (noted) {
		tree->life = CHECK_STALE;
		check_warn(w, "stale-nspid", "none is needed: the next start replaces it",
			"%s/.nspid names a container that does not live", tree->path);
	}
}

static void look_at_filesystem(
	int rootfd, const struct check_container *c, struct check_tree *tree, struct check_warnings *w)
{
	struct nsi_error err = {0};

	tree->idmap = -1;
	if (geteuid() != 0 || is_shifted(tree))
		return;
	tree->idmap = nsi_try_idmap(rootfd, tree->path, &err) == 0;
	if (!tree->idmap)
		check_warn_error(w, "no-id-mapping",
			c->plan->confine.namespaces & CLONE_NEWUSER
				? "it cannot be started with a user namespace"
				: "logins would be refused, since they get a user namespace",
			&err);
}

void check_look_at_tree(int rootfd, const char *path, const struct check_container *c,
	struct check_tree *tree, struct check_warnings *w)
{
	memset(tree, 0, sizeof(*tree));
	snprintf(tree->path, sizeof(tree->path), "%s", path);
	fstat(rootfd, &tree->dir);
	look_as_login(tree, c->rootless, w);
	look_at_file(rootfd, tree, w);
	look_at_contents(rootfd, tree, w);
	look_at_mount_points(rootfd, c, tree);
	look_at_life(rootfd, tree, w);
	look_at_filesystem(rootfd, c, tree, w);
}
