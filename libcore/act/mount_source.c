/* What is mounted: copies of the host's mounts, new file systems, overlays of both. All detached at first. */
#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/io.h"
#include "mount_ground.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int fail_mapping(const char *shown, const struct nsi_clone *how, struct nsi_error *err)
{
	int code = errno;
	char hint[384];

	snprintf(hint, sizeof(hint),
		"its filesystem, or one mounted below it, takes no id mapping (NFS and overlay do not): use "
		"ext4, "
		"xfs or btrfs%s%s",
		how->instead ? "; or " : "", how->instead ? how->instead : "");
	return nsi_fail(err, code, "mapping the ids of the files in", shown,
		code == EINVAL || code == EPERM || code == EOPNOTSUPP ? hint : NULL);
}

int nsi_mount_clone(
	int dirfd, const char *shown, const struct nsi_clone *how, int *ret_tree, struct nsi_error *err)
{
	struct mount_attr attr = {
		.attr_set = how->attributes, .propagation = how->slave ? MS_SLAVE : MS_PRIVATE};
	unsigned below = how->single ? 0 : AT_RECURSIVE;
	cleanup_fd int tree =
		nsi_open_tree(dirfd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | below);

	if (tree < 0)
		return nsi_fail(err, errno, "copying the mount of", shown, NULL);
	/* The copy must be made private in the same step: as a peer of a shared host mount, what is mounted
	 * in it would appear on the host. */
	if (how->userns >= 0) {
		attr.attr_set |= MOUNT_ATTR_IDMAP;
		attr.userns_fd = (uint64_t)how->userns;
	}
	if (nsi_mount_setattr(tree, "", AT_EMPTY_PATH | below, &attr) < 0)
		return fail_mapping(shown, how, err);
	*ret_tree = nsi_take_fd(&tree);
	return 0;
}

int nsi_mount_own_root(int rootfd, int *ret_tree, struct nsi_error *err)
{
	char path[PATH_MAX];
	struct stat theirs, ours;

	nsi_fd_path(rootfd, path, sizeof(path));
	cleanup_fd int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &ours) < 0 || fstat(rootfd, &theirs) < 0)
		return nsi_fail(err, errno, "opening the rootfs directory", path, NULL);
	if (ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino)
		return nsi_failf(err, ESTALE, "opening the rootfs directory", path, NULL, "it has changed");
	const struct nsi_clone how = {.userns = -1, .attributes = MOUNT_ATTR_NODEV};
	return nsi_mount_clone(fd, path, &how, ret_tree, err);
}

static int set_options(int fs, const char *options)
{
	char text[128], *save = NULL;

	snprintf(text, sizeof(text), "%s", options ? options : "");
	for (char *o = strtok_r(text, ",", &save); o; o = strtok_r(NULL, ",", &save)) {
		char *value = strchr(o, '=');

		if (value)
			*value++ = '\0';
		if (nsi_fsconfig(fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, o, value, 0) < 0)
			return -errno;
	}
	return nsi_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ? -errno : 0;
}

int new_filesystem(const char *type, const char *options, unsigned attributes, int *ret_mount)
{
	cleanup_fd int fs = nsi_fsopen(type, FSOPEN_CLOEXEC);
	int r = fs < 0 ? -errno : 0;

	if (r == 0 && nsi_fsconfig(fs, FSCONFIG_SET_STRING, "source", type, 0) < 0)
		r = -errno;
	if (r == 0)
		r = set_options(fs, options);

	if (r < 0)
		return r;
	int fd = nsi_fsmount(fs, FSMOUNT_CLOEXEC, attributes);
	if (fd < 0)
		return -errno;
	*ret_mount = fd;
	return 0;
}

/* ------------------------------------------------------------------ overlays */

/* The kernel takes layers by path only (by descriptor: Linux 6.13), and only those of this namespace. */
static int attach_layer(int tree, const char *shown, struct nsi_error *err)
{
	struct ground g = {.err = err};
	cleanup_fd int here = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return here < 0 ? nsi_fail(err, errno, "opening", "/", NULL) : attach(&g, tree, here, shown);
}

/* In place of a directory for the changes. What we create has the container's ids already: nothing maps it.
 */
static int changes_in_memory(const struct nsi_layers *l, int *ret_dir, struct nsi_error *err)
{
	cleanup_fd int made = -1;
	char options[64];

	snprintf(options, sizeof(options), "mode=0700,size=%s", l->memory);
	int r = new_filesystem("tmpfs", options, 0, &made);
	if (r < 0)
		return nsi_fail(err, -r, "making a filesystem of type", "tmpfs", NULL);
	r = attach_layer(made, "/", err);
	if (r < 0)
		return r;
	if (mkdirat(made, l->upper, 0755) < 0 || mkdirat(made, l->work, 0755) < 0)
		return nsi_fail(err, errno, "making directories in", "a tmpfs", NULL);
	*ret_dir = nsi_take_fd(&made);
	return 0;
}

static int set_layers(int fs, const struct nsi_layers *l, int changes)
{
	char text[256];
	size_t used = 0;

	for (int i = 0; i < l->n_lower; i++)
		used += (size_t)snprintf(
			text + used, sizeof(text) - used, "%s/proc/self/fd/%d", i ? ":" : "", l->lower[i]);
	if (nsi_fsconfig(fs, FSCONFIG_SET_STRING, "source", "overlay", 0) < 0 ||
		nsi_fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", text, 0) < 0)
		return -errno;
	if (changes < 0)
		return 0;
	snprintf(text, sizeof(text), "/proc/self/fd/%d/%s", changes, l->upper);
	if (nsi_fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", text, 0) < 0)
		return -errno;
	snprintf(text, sizeof(text), "/proc/self/fd/%d/%s", changes, l->work);
	/* With an index, an image whose copy takes its place would be refused. */
	if (nsi_fsconfig(fs, FSCONFIG_SET_STRING, "workdir", text, 0) < 0 ||
		nsi_fsconfig(fs, FSCONFIG_SET_STRING, "index", "off", 0) < 0)
		return -errno;
	return 0;
}

static int create_overlay(const struct nsi_layers *l, int changes, int *ret_mount)
{
	cleanup_fd int fs = nsi_fsopen("overlay", FSOPEN_CLOEXEC);
	int r = fs < 0 ? -errno : set_layers(fs, l, changes);

	if (r == 0 && nsi_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		r = -errno;
	if (r < 0)
		return r;
	int fd = nsi_fsmount(fs, FSMOUNT_CLOEXEC, l->attributes);
	if (fd < 0)
		return -errno;
	*ret_mount = fd;
	return 0;
}

int nsi_mount_overlay(const struct nsi_layers *l, int *ret_mount, struct nsi_error *err)
{
	cleanup_fd int memory = -1;
	int r = 0;

	for (int i = 0; r == 0 && l->detached && i < l->n_lower; i++)
		r = attach_layer(l->lower[i], l->shown, err);
	if (r == 0 && l->detached && l->changes >= 0)
		r = attach_layer(l->changes, l->shown, err);
	if (r == 0 && l->memory)
		r = changes_in_memory(l, &memory, err);
	if (r < 0)
		return r;
	r = create_overlay(l, l->memory ? memory : l->changes, ret_mount);
	return r == 0 ? 0
		      : nsi_fail(err, -r, "making an overlay of", l->shown,
				r == -EINVAL
					? "over id-mapped layers this needs Linux 5.19, and for the changes "
					  "a filesystem such as ext4, xfs or btrfs; dmesg has the kernel's "
					  "word"
				: r == -ENODEV ? "this kernel has no overlay filesystem"
					       : NULL);
}

/* ------------------------------------------------------------------ a stage */

/* Mounts are moved onto one of their own kind. */
static int make_place(int dir, const char *name, int tree, struct nsi_error *err)
{
	struct stat st;

	if (fstat(tree, &st) < 0)
		return nsi_fail(err, errno, "checking", "a tree", NULL);
	if (S_ISDIR(st.st_mode) ? mkdirat(dir, name, 0700) < 0 : mknodat(dir, name, S_IFREG | 0600, 0) < 0)
		return nsi_fail(err, errno, "making", "a place for a tree", NULL);
	return 0;
}

int nsi_mount_stage(const int trees[], int n, struct nsi_error *err)
{
	struct ground g = {.err = err};
	cleanup_fd int made = -1;
	char name[16];
	int r = new_filesystem("tmpfs", "mode=0700,size=64k", 0, &made);

	if (r < 0)
		return nsi_fail(err, -r, "making a filesystem of type", "tmpfs", NULL);
	r = attach_layer(made, "/", err);
	for (int i = 0; r == 0 && i < n; i++) {
		if (trees[i] < 0)
			continue;
		snprintf(name, sizeof(name), "%d", i);
		r = make_place(made, name, trees[i], err);
		cleanup_fd int place = r < 0 ? -1 : openat(made, name, O_PATH | O_CLOEXEC);
		if (r == 0)
			r = attach(&g, trees[i], place, name);
	}
	if (r == 0 && fchdir(made) < 0)
		r = nsi_fail(err, errno, "changing to", "the stage", NULL);
	return r;
}

int nsi_mount_unstage(int i, int *ret_tree, struct nsi_error *err)
{
	char name[16];

	snprintf(name, sizeof(name), "%d", i);
	int tree = nsi_open_tree(AT_FDCWD, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0)
		return nsi_fail(err, errno, "copying the mount of", "a tree", NULL);
	*ret_tree = tree;
	return 0;
}
