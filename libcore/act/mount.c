#include "mount_ground.h"

#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/io.h"

#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

int nsi_mount_private(struct nsi_error *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return nsi_fail(err, errno, "making private", "all mounts", NULL);
	return 0;
}

int nsi_mount_slave(struct nsi_error *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return nsi_fail(err, errno, "making slaves of", "all mounts", NULL);
	return 0;
}

/* ------------------------------------------------------------------ operations */

static int do_filesystem(struct ground *g, const struct nsi_op *op)
{
	cleanup_fd int target = -1, made = -1;
	int r = open_dir(g, op->target, &target);

	if (r < 0)
		return r;
	r = new_filesystem(op->source, op->options, op->attributes, &made);
	if (r < 0)
		return nsi_fail(g->err, -r, "making a filesystem of type", op->source,
			r == -EPERM ? "in a user namespace this needs NEWPID (proc) or NEWIPC (mqueue) too"
				    : NULL);
	r = attach_dir(g, made, target, op->target, true);
	if (r == 0 && strcmp(op->source, "devpts") == 0)
		g->devpts = nsi_take_fd(&made);
	return r;
}

/* A new sysfs shows the network namespace's devices and needs to own it; otherwise the host's is shown. */
static int do_sysfs(struct ground *g, const struct nsi_op *op)
{
	struct mount_attr attr = {.attr_set = op->attributes};
	cleanup_fd int target = -1, made = -1;
	int r = open_dir(g, op->target, &target);

	if (r < 0)
		return r;
	r = new_filesystem("sysfs", NULL, op->attributes, &made);
	if (r < 0 && r != -EPERM)
		return nsi_fail(g->err, -r, "mounting", op->target, NULL);
	if (r < 0) {
		made = nsi_open_tree(AT_FDCWD, "/sys", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
		if (made < 0 || nsi_mount_setattr(made, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr) < 0)
			return nsi_fail(g->err, errno, "binding", "/sys", NULL);
	}
	return attach_dir(g, made, target, op->target, true);
}

static int bind_onto(struct ground *g, int source_dir, const char *source, unsigned flags,
	unsigned attributes, int target, const char *shown)
{
	struct mount_attr attr = {.attr_set = attributes};
	cleanup_fd int tree = nsi_open_tree(source_dir, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);

	if (tree < 0)
		return nsi_fail(g->err, errno, "binding", shown, NULL);
	if (attributes && nsi_mount_setattr(tree, "", AT_EMPTY_PATH | (flags & AT_RECURSIVE), &attr) < 0)
		return nsi_fail(g->err, errno, "setting mount attributes of", shown, NULL);
	return attach_dir(g, tree, target, shown, false);
}

static int do_device(struct ground *g, const struct nsi_op *op)
{
	cleanup_fd int target = -1;
	struct stat st;

	if (op->options && stat(op->source, &st) < 0 && errno == ENOENT)
		return 0;
	int r = open_file(g, op->target, ALONG_LINKS, &target);
	return r < 0 ? r : bind_onto(g, AT_FDCWD, op->source, 0, op->attributes, target, op->target);
}

static int do_program(struct ground *g, const struct nsi_op *op)
{
	cleanup_fd int target = -1;
	struct stat st;

	if (stat(op->source, &st) < 0 && errno == ENOENT)
		return 0;
	int r = open_file(g, op->target, ALONG_LINKS, &target);
	return r < 0 ? r : bind_onto(g, AT_FDCWD, op->source, 0, op->attributes, target, op->target);
}

/* The fresh proc file system is mounted by now, and what is written is the new namespaces' own. */
static int do_sysctl(struct ground *g, const struct nsi_op *op)
{
	const char *left = op->target;
	int base = ground_of(g, STRICT, &left);
	cleanup_fd int fd = nsi_openat2(base, left, O_WRONLY | O_CLOEXEC, 0, STRICT);
	int r = fd < 0 ? -errno : nsi_write_full(fd, op->source, strlen(op->source));

	if (r == 0)
		return 0;
	return nsi_fail(g->err, -r, "setting", op->target,
		r == -ENOENT ? "this kernel has no such setting, or not for each namespace"
		: r == -EACCES || r == -EPERM
			? "this kernel does not let a container's root set it (IPC: Linux 5.19)"
			: NULL);
}

static int do_symlink(struct ground *g, const struct nsi_op *op)
{
	const char *left = "dev";
	int base = ground_of(g, STRICT, &left);
	cleanup_fd int dev = nsi_openat2(base, left, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, STRICT);

	if (dev < 0)
		return fail_target(g, errno, "dev");
	if (symlinkat(op->source, dev, strrchr(op->target, '/') + 1) < 0)
		return nsi_fail(g->err, errno, "linking", op->target, NULL);
	return 0;
}

static int do_tree(struct ground *g, const struct nsi_op *op)
{
	cleanup_fd int target = -1;
	int tree = g->trees[op->tree], r;
	struct stat source, there;

	if (tree < 0)
		return 0;
	if (fstat(tree, &source) < 0)
		return nsi_fail(g->err, errno, "checking the source of", op->target, NULL);
	if (S_ISDIR(source.st_mode))
		r = open_dir(g, op->target, &target);
	else
		r = open_file(g, op->target, STRICT, &target);
	if (r < 0)
		return r;
	if (fstat(target, &there) < 0 || S_ISDIR(source.st_mode) != S_ISDIR(there.st_mode))
		return nsi_failf(g->err, ENOTDIR, "mounting on", op->target, NULL,
			"one of source and target is a directory, the other is not");
	return attach_dir(g, tree, target, op->target, false);
}

static int do_again(struct ground *g, const struct nsi_op *op)
{
	cleanup_fd int source = -1, target = -1;
	int r = open_existing(g, op->source, &source);

	if (r == 0)
		r = open_dir(g, op->target, &target);
	return r < 0 ? r
		     : bind_onto(g, source, "", AT_EMPTY_PATH | AT_RECURSIVE, op->attributes, target,
			       op->target);
}

/* A file in our own tmpfs on /dev, which is the container's from the start. */
static int make_note(struct ground *g, const struct nsi_op *op, const char *name, int *ret_dir)
{
	int r = open_dir(g, "dev/.nsinit", ret_dir);

	if (r < 0)
		return r;
	cleanup_fd int fd = openat(*ret_dir, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	if (fd < 0)
		return nsi_fail(g->err, errno, "making", op->target, NULL);
	r = nsi_write_full(fd, op->source, strlen(op->source));
	return r < 0 ? nsi_fail(g->err, -r, "writing", op->target, NULL) : 0;
}

static int do_note(struct ground *g, const struct nsi_op *op)
{
	cleanup_fd int dir = -1;

	return make_note(g, op, strrchr(op->target, '/') + 1, &dir);
}

/* Bound from there over the image's, which stays as it is. */
static int do_file(struct ground *g, const struct nsi_op *op)
{
	cleanup_fd int target = -1, dir = -1;
	const char *name = strrchr(op->target, '/') + 1;
	int r = open_file(g, op->target, ALONG_LINKS, &target);

	if (r == 0)
		r = make_note(g, op, name, &dir);
	return r < 0 ? r : bind_onto(g, dir, name, 0, op->attributes, target, op->target);
}

static int do_readonly(struct ground *g, const struct nsi_op *op)
{
	struct mount_attr attr = {.attr_set = op->attributes};
	cleanup_fd int target = -1;
	int r = open_existing(g, op->target, &target);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	/* With what is mounted below, which keeps its own attributes. */
	cleanup_fd int tree =
		nsi_open_tree(target, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
	if (tree < 0 || nsi_mount_setattr(tree, "", AT_EMPTY_PATH, &attr) < 0)
		return nsi_fail(g->err, errno, "making read-only", op->target, NULL);
	return attach_dir(g, tree, target, op->target, false);
}

static int do_mask(struct ground *g, const struct nsi_op *op)
{
	cleanup_fd int target = -1, empty = -1;
	struct stat st;
	int r = open_existing(g, op->target, &target);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (fstat(target, &st) < 0)
		return nsi_fail(g->err, errno, "masking", op->target, NULL);
	if (!S_ISDIR(st.st_mode)) /* the host's null device: the container's own could be anything */
		return bind_onto(g, AT_FDCWD, "/dev/null", 0, op->attributes, target, op->target);
	r = new_filesystem("tmpfs", "mode=0555,size=4k", op->attributes, &empty);
	return r < 0 ? nsi_fail(g->err, -r, "masking", op->target, NULL)
		     : attach_dir(g, empty, target, op->target, true);
}

static int do_op(struct ground *g, const struct nsi_op *op)
{
	switch (op->kind) {
	case NSI_OP_FILESYSTEM:
		return do_filesystem(g, op);
	case NSI_OP_SYSFS:
		return do_sysfs(g, op);
	case NSI_OP_SYSCTL:
		return do_sysctl(g, op);
	case NSI_OP_ZONE:
	case NSI_OP_DEVICE:
		return do_device(g, op);
	case NSI_OP_PROGRAM:
		return do_program(g, op);
	case NSI_OP_SYMLINK:
		return do_symlink(g, op);
	case NSI_OP_TREE:
		return do_tree(g, op);
	case NSI_OP_AGAIN:
		return do_again(g, op);
	case NSI_OP_FILE:
		return do_file(g, op);
	case NSI_OP_NOTE:
		return do_note(g, op);
	case NSI_OP_READONLY:
		return do_readonly(g, op);
	case NSI_OP_MASK:
		return do_mask(g, op);
	}
	return nsi_fail(g->err, EINVAL, "carrying out", op->target, NULL);
}

/* pivot_root(".", ".") stacks the old root on the new one; detaching it leaves nothing of the host. */
static int change_root(int root_tree, bool readonly, struct nsi_error *err)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};

	if (readonly && nsi_mount_setattr(root_tree, "", AT_EMPTY_PATH, &attr) < 0)
		return nsi_fail(err, errno, "making read-only", "the root directory", NULL);
	if (fchdir(root_tree) < 0)
		return nsi_fail(err, errno, "changing to", "the root directory", NULL);
	if (nsi_pivot_root(".", ".") < 0)
		return nsi_fail(err, errno, "pivoting to", "the root directory", NULL);
	if (umount2(".", MNT_DETACH) < 0)
		return nsi_fail(err, errno, "detaching", "the host's root directory", NULL);
	if (chdir("/") < 0)
		return nsi_fail(err, errno, "changing to", "/", NULL);
	return 0;
}

int nsi_mount_plan(
	const struct nsi_plan *plan, int root_tree, const int trees[], int *ret_devpts, struct nsi_error *err)
{
	struct ground g = {.root = root_tree, .trees = trees, .devpts = -1, .err = err};
	cleanup_fd int here = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = nsi_mount_private(err);

	if (r < 0)
		return r;
	/* Over "/" itself: the tree only has to be somewhere in this namespace, and this path cannot be
	 * raced. */
	r = here < 0 ? nsi_fail(err, errno, "opening", "/", NULL) : attach(&g, root_tree, here, "/");
	for (int i = 0; r == 0 && i < plan->n_ops; i++)
		r = do_op(&g, &plan->ops[i]);
	ground_end(&g);
	if (r == 0)
		r = change_root(root_tree, plan->readonly_root, err);
	if (r == 0) {
		*ret_devpts = nsi_take_fd(&g.devpts);
		return 0;
	}
	if (g.devpts >= 0)
		close(g.devpts);
	return r;
}

int nsi_mount_nothing(struct nsi_error *err)
{
	const unsigned inert = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	struct ground g = {.err = err};
	cleanup_fd int here = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), empty = -1;
	int r = nsi_mount_private(err);

	if (r == 0 && (r = new_filesystem("tmpfs", "mode=0555,size=4k", inert, &empty)) < 0)
		nsi_fail(err, -r, "making a filesystem of type", "tmpfs", NULL);
	if (r == 0)
		r = here < 0 ? nsi_fail(err, errno, "opening", "/", NULL) : attach(&g, empty, here, "/");
	return r < 0 ? r : change_root(empty, true, err);
}

int nsi_mount_detached(int fd, int *ret_tree, struct nsi_error *err)
{
	struct mount_attr private = {.propagation = MS_PRIVATE};
	cleanup_fd int tree = nsi_open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

	/* What root inside mounts there later is not to appear here. */
	if (tree < 0 || nsi_mount_setattr(tree, "", AT_EMPTY_PATH, &private) < 0)
		return nsi_fail(err, errno, "copying the mount of", "the container's devpts", NULL);
	*ret_tree = nsi_take_fd(&tree);
	return 0;
}

int nsi_mount_terminals(int tree, struct nsi_error *err)
{
	struct statfs fs;
	struct stat st;

	if (nsi_move_mount(tree, "", AT_FDCWD, "/dev/pts", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return nsi_fail(err, errno, "mounting on", "/dev/pts", NULL);
	if (lstat("/dev/ptmx", &st) < 0)
		return nsi_fail(err, errno, "checking", "/dev/ptmx", NULL);
	if (S_ISLNK(st.st_mode) || statfs("/dev/ptmx", &fs) < 0 || fs.f_type != DEVPTS_SUPER_MAGIC)
		return 0;
	cleanup_fd int ptmx = nsi_open_tree(AT_FDCWD, "/dev/pts/ptmx", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (ptmx < 0 || nsi_move_mount(ptmx, "", AT_FDCWD, "/dev/ptmx", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return nsi_fail(err, errno, "mounting on", "/dev/ptmx", NULL);
	return 0;
}
