#include "trees.h"

#include "../act/mount.h"
#include "../act/ns.h"
#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/io.h"
#include "child.h"
#include "idmap.h"
#include "lock.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ------------------------------------------------------------------ sources */

static const char without_idmap[] = "leave \"idmap\" out";

/*
 * Whoever may write somewhere on the way could put a link to anything there. *ret_fd stays -1 where an
 * optional one does not exist.
 */
static int open_source(const char *path, bool optional, int *ret_fd, struct nsi_error *err)
{
	int fd = nsi_openat2(
		AT_FDCWD, path, O_PATH | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);

	if (fd < 0 && !(optional && (errno == ENOENT || errno == ENOTDIR)))
		return nsi_fail(err, errno, "opening the source of a mount", path,
			errno == ELOOP ? "symbolic links are not followed here; name the real path" : NULL);
	*ret_fd = fd;
	return 0;
}

/* Root inside writes there with the host's root's ids: nobody else may get at its set-uid files. */
static int check_mapped(const char *path, struct nsi_error *err)
{
	cleanup_fd int fd = -1;
	bool private = false;
	int r = nsi_open_trusted(path, O_PATH, &fd, &private, err);

	if (r == 0 && !private)
		r = nsi_failf(err, EPERM, "mapping the ids of the files in", path,
			"chmod 0700 its parent directory, or leave \"idmap\" out, or make it readonly",
			"no directory above it keeps other users out, who could run a set-uid file made "
			"inside");
	return r;
}

/*
 * Of the host's ids root inside has those of the login user, and the group of terminals. What it leaves in
 * the host's directories must not belong to that one: a set-gid program there would give it to other users.
 * So all ids are shown as they are, but this. A file system that takes no mapping is shown as it is.
 */
static int clone_of_the_host(
	int dir, const char *shown, struct nsi_clone how, int userns, int *ret_tree, struct nsi_error *err)
{
	static const struct nsi_ids all_but_tty = {.n_uids = 1,
		.n_gids = 2,
		.uids = {{0, 0, UINT32_MAX}},
		.gids = {{0, 0, NSI_TTY_GID},
			{NSI_TTY_GID + 1, NSI_TTY_GID + 1, UINT32_MAX - NSI_TTY_GID - 1}}};
	cleanup_fd int mapping = -1;

	if (userns >= 0 && !(how.attributes & MOUNT_ATTR_RDONLY)) {
		int r = nsi_make_mapping(&all_but_tty, &mapping, err);

		if (r < 0)
			return r;
		how.userns = mapping;
		r = nsi_mount_clone(dir, shown, &how, ret_tree, err);
		if (r != -EINVAL && r != -EPERM && r != -EOPNOTSUPP)
			return r;
		how.userns = -1;
	}
	return nsi_mount_clone(dir, shown, &how, ret_tree, err);
}

static int give_bind(const struct nsi_mount *m, int userns, int *ret_tree, struct nsi_error *err)
{
	struct nsi_clone how = {.userns = m->idmap ? userns : -1,
		.instead = without_idmap,
		.attributes = m->attributes,
		.single = !m->recursive,
		.slave = m->slave};
	cleanup_fd int source = -1;
	int r = open_source(m->source, m->optional, &source, err);

	if (r < 0 || source < 0)
		return r;
	if (how.userns >= 0 && !(m->attributes & MOUNT_ATTR_RDONLY))
		r = check_mapped(m->source, err);
	if (r < 0 || how.userns >= 0)
		return r < 0 ? r : nsi_mount_clone(source, m->source, &how, ret_tree, err);
	return clone_of_the_host(source, m->source, how, userns, ret_tree, err);
}

/* ------------------------------------------------------------------ overlays */

/*
 * The kernel works on the layers as whoever makes the overlay, and creates its working directory as that: an
 * id that the mapped layers do not know could not.
 */
static int act_as_owner(const struct nsi_layers *layers, struct nsi_error *err)
{
	if (layers->uid == 0 && layers->gid == 0)
		return 0;
	if (nsi_setresgid(layers->gid) < 0 || nsi_act_as(layers->uid) < 0)
		return nsi_fail(err, errno, "acting as the owner of", layers->shown, NULL);
	return 0;
}

_Noreturn static void stack(const struct nsi_layers *layers, int sync)
{
	struct nsi_error err = {0};
	struct nsi_mounts_before unused;
	int made = -1;
	int r = nsi_private_mounts(&unused, &err);

	umask(0);
	if (r == 0)
		r = act_as_owner(layers, &err);
	if (r == 0)
		r = nsi_mount_overlay(layers, &made, &err);
	if (r < 0)
		nsi_child_fail(sync, &err);
	nsi_sync_send(sync, NSI_SYNC_STARTED, &made, 1);
	_exit(0);
}

/* In a process of its own: the layers must be mounted somewhere while the overlay is made. */
static int make_overlay(const struct nsi_layers *layers, int *ret_tree, struct nsi_error *err)
{
	int pair[2], tree = -1, r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return nsi_fail(err, errno, "making", "a socket pair", NULL);
	pid_t pid = nsi_clone3(0, NULL);
	if (pid == 0)
		stack(layers, pair[1]);
	close(pair[1]);
	if (pid < 0) {
		r = nsi_fail(err, errno, "forking", "a process to make an overlay with", NULL);
	} else {
		r = nsi_sync_expect(pair[0], NSI_SYNC_STARTED, &tree, 1, err);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	close(pair[0]);
	if (r == 0)
		*ret_tree = tree;
	return r;
}

static void close_layers(struct nsi_layers *layers)
{
	for (int i = 0; i < layers->n_lower; i++)
		close(layers->lower[i]);
	if (layers->changes >= 0)
		close(layers->changes);
}

static int add_layer(struct nsi_layers *layers, const char *path, int userns, struct nsi_error *err)
{
	const struct nsi_clone how = {.userns = userns, .single = true, .instead = without_idmap};
	cleanup_fd int source = -1;
	int r = open_source(path, false, &source, err);

	if (r == 0)
		r = nsi_mount_clone(source, path, &how, &layers->lower[layers->n_lower], err);
	if (r == 0)
		layers->n_lower++;
	return r;
}

/* The directory that holds both, mapped: they have to be on one mount. */
static int add_changes(
	struct nsi_layers *layers, const struct nsi_mount *m, int userns, struct nsi_error *err)
{
	const struct nsi_clone how = {.userns = userns, .single = true, .instead = without_idmap};
	cleanup_fd int dir = -1;
	char path[sizeof(m->upper)];
	int r = userns >= 0 ? check_mapped(m->upper, err) : 0;

	layers->upper = strrchr(m->upper, '/') + 1;
	layers->work = strrchr(m->work, '/') + 1;
	snprintf(path, sizeof(path), "%.*s", (int)(layers->upper - 1 - m->upper), m->upper);
	if (r == 0)
		r = open_source(path, false, &dir, err);
	return r < 0 ? r : nsi_mount_clone(dir, path, &how, &layers->changes, err);
}

static uint32_t outside_root(const struct nsi_idmap *map, int n)
{
	for (int i = 0; i < n; i++)
		if (map[i].inside == 0)
			return map[i].outside;
	return 0;
}

static int give_overlay(const struct nsi_ids *ids, const struct nsi_mount *m, int userns, int *ret_tree,
	struct nsi_error *err)
{
	struct nsi_layers layers = {
		.changes = -1, .detached = true, .attributes = m->attributes, .shown = m->target};
	char path[1024];
	int r = 0;

	if (!m->idmap)
		userns = -1;
	if (userns >= 0) {
		layers.uid = outside_root(ids->uids, ids->n_uids);
		layers.gid = outside_root(ids->gids, ids->n_gids);
	}
	for (const char *p = m->lower; r == 0 && *p; p += strcspn(p, "\n") + 1) {
		snprintf(path, sizeof(path), "%.*s", (int)strcspn(p, "\n"), p);
		r = add_layer(&layers, path, userns, err);
	}
	if (r == 0 && m->upper[0])
		r = add_changes(&layers, m, userns, err);
	if (r == 0)
		r = make_overlay(&layers, ret_tree, err);
	close_layers(&layers);
	return r;
}

/* ------------------------------------------------------------------ the root directory */

/* The image's layer is the same directory for everybody, each with a mapping of their own. */
static int give_image(
	const struct nsi_plan *plan, int userns, int rootfd, int image, int *ret_root, struct nsi_error *err)
{
	const struct nsi_clone how = {.userns = userns,
		.single = true,
		.instead = "copy the image to a directory of each user's own, chown that to a subordinate "
			   "range and say "
			   "ownership = \"shifted\"; or userns = \"off\""};
	const struct nsi_ids *ids = &plan->confine.ids;
	char shown[PATH_MAX];
	struct nsi_layers layers = {.changes = -1,
		.upper = "upper",
		.work = "work",
		.uid = outside_root(ids->uids, ids->n_uids),
		.gid = outside_root(ids->gids, ids->n_gids),
		.memory = plan->image.ephemeral ? plan->image.size : NULL,
		.detached = true,
		.attributes = MOUNT_ATTR_NODEV,
		.shown = nsi_fd_path(image, shown, sizeof(shown))};
	int r = nsi_mount_clone(image, shown, &how, &layers.lower[0], err);

	if (r == 0)
		layers.n_lower = 1;
	if (r == 0 && !layers.memory)
		r = nsi_mount_clone(
			rootfd, "the directory of the user's changes", &how, &layers.changes, err);
	if (r == 0)
		r = make_overlay(&layers, ret_root, err);
	close_layers(&layers);
	return r;
}

static int give_root(
	const struct nsi_plan *plan, int userns, int rootfd, int image, int *ret_root, struct nsi_error *err)
{
	const struct nsi_clone how = {.userns = plan->own_ids ? -1 : userns,
		.attributes = MOUNT_ATTR_NODEV,
		.instead = plan->login.present ? NSI_WITHOUT_MAPPING : "leave NEWUSER out of \"namespaces\""};
	char shown[PATH_MAX];

	if (plan->image.present)
		return give_image(plan, userns, rootfd, image, ret_root, err);
	return nsi_mount_clone(rootfd, nsi_fd_path(rootfd, shown, sizeof(shown)), &how, ret_root, err);
}

/* Its ids are the login user's own, so it is not mapped to the container's. */
static int give_home(const struct nsi_plan *plan, int userns, int *ret_home, struct nsi_error *err)
{
	const struct nsi_clone how = {.userns = -1, .attributes = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID};

	if (!plan->home[0])
		return 0;
	cleanup_fd int dir = open(plan->home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? 0 : nsi_fail(err, errno, "opening", plan->home, NULL);
	return clone_of_the_host(dir, plan->home, how, userns, ret_home, err);
}

/* ------------------------------------------------------------------ over the socket */

static bool is_sent(const struct nsi_mount *m)
{
	return m->type == NSI_MOUNT_BIND || m->type == NSI_MOUNT_OVERLAY;
}

static int send_record(int sync, enum nsi_sync kind, const int *fds, int n, struct nsi_error *err)
{
	int r = nsi_sync_send(sync, kind, fds, n);

	return r < 0 ? nsi_fail(err, -r, "starting", "the container's pid 1", "it has ended") : 0;
}

/* All of them first: to lock them takes one process, whatever their number. */
static int give_mounts(const struct nsi_plan *plan, int userns, int trees[], struct nsi_error *err)
{
	int r = 0, given = 0;

	for (int i = 0; r == 0 && i < plan->n_mounts; i++) {
		const struct nsi_mount *m = &plan->mounts[i];

		if (m->type == NSI_MOUNT_BIND)
			r = give_bind(m, userns, &trees[i], err);
		else if (is_sent(m))
			r = give_overlay(&plan->confine.ids, m, userns, &trees[i], err);
		given += trees[i] >= 0;
	}
	return r == 0 && given && userns >= 0 ? nsi_lock_trees(userns, trees, plan->n_mounts, err) : r;
}

/* One record for each, also for one that is left out. */
static int send_mounts(const struct nsi_plan *plan, int userns, int sync, struct nsi_error *err)
{
	int trees[NSI_MAX_MOUNTS], r;

	for (int i = 0; i < NSI_MAX_MOUNTS; i++)
		trees[i] = -1;
	r = give_mounts(plan, userns, trees, err);
	for (int i = 0; r == 0 && i < plan->n_mounts; i++)
		if (is_sent(&plan->mounts[i]))
			r = send_record(sync, NSI_SYNC_TREE, &trees[i], trees[i] >= 0, err);
	for (int i = 0; i < NSI_MAX_MOUNTS; i++)
		if (trees[i] >= 0)
			close(trees[i]);
	return r;
}

int nsi_trees_send(
	const struct nsi_plan *plan, int userns, int rootfd, int image, int sync, struct nsi_error *err)
{
	cleanup_fd int root = -1, home = -1;

	if (plan->rootless)
		return send_record(sync, NSI_SYNC_START, &rootfd, 1, err);
	int r = send_mounts(plan, userns, sync, err);
	if (r == 0)
		r = give_root(plan, userns, rootfd, image, &root, err);
	if (r == 0)
		r = give_home(plan, userns, &home, err);
	return r < 0 ? r : send_record(sync, NSI_SYNC_START, (int[]){root, home}, home >= 0 ? 2 : 1, err);
}

int nsi_trees_receive(
	const struct nsi_plan *plan, int sync, int *ret_root, int trees[], struct nsi_error *err)
{
	int fds[2], r = 0;

	for (int i = 0; i < NSI_MAX_TREES; i++)
		trees[i] = -1;
	for (int i = 0; r == 0 && i < plan->n_mounts; i++) {
		if (!is_sent(&plan->mounts[i]))
			continue;
		r = nsi_sync_expect(sync, NSI_SYNC_TREE, &trees[i + 1], 1, err);
	}
	if (r == 0)
		r = nsi_sync_expect(sync, NSI_SYNC_START, fds, 2, err);
	if (r < 0)
		return r;
	*ret_root = fds[0];
	trees[0] = fds[1];
	return 0;
}
