/* A root for a program that handles what is not trusted: it finds one directory that it can write to. */
#include "../base/cleanup.h"
#include "../base/compat.h"
#include "mount_ground.h"

#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* Where programs of the host and their libraries lie; on most hosts all but the first are links into it. */
static const char *const parts[] = {"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"};

enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

static int clone_part(struct ground *g, const char *path, int *ret_tree)
{
	struct mount_attr readonly = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
	cleanup_fd int tree =
		nsi_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (tree < 0 || nsi_mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &readonly) < 0)
		return nsi_fail(g->err, errno, "copying the mount of", path, NULL);
	*ret_tree = nsi_take_fd(&tree);
	return 0;
}

/* Before "/" is covered; -1 for what is a link, or not there. */
static int clone_parts(struct ground *g, int trees[PARTS], char links[PARTS][64])
{
	for (int i = 0; i < PARTS; i++) {
		char path[16];
		struct stat st;

		snprintf(path, sizeof(path), "/%s", parts[i]);
		if (lstat(path, &st) < 0)
			continue;
		if (S_ISLNK(st.st_mode)) {
			ssize_t n = readlink(path, links[i], sizeof(links[i]) - 1);

			links[i][n > 0 ? n : 0] = '\0';
			continue;
		}
		int r = clone_part(g, path, &trees[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int furnish(struct ground *g, const int trees[PARTS], char links[PARTS][64], int work)
{
	cleanup_fd int place = -1;
	int r = open_dir(g, "work", &place);

	if (r == 0)
		r = attach(g, work, place, "work");
	for (int i = 0; r == 0 && i < PARTS; i++) {
		cleanup_fd int target = -1;

		if (links[i][0] && symlinkat(links[i], g->root, parts[i]) < 0)
			r = nsi_fail(g->err, errno, "linking", parts[i], NULL);
		if (trees[i] < 0)
			continue;
		r = open_dir(g, parts[i], &target);
		if (r == 0)
			r = attach(g, trees[i], target, parts[i]);
	}
	return r;
}

static int enter(struct ground *g)
{
	struct mount_attr readonly = {.attr_set = MOUNT_ATTR_RDONLY};

	if (nsi_mount_setattr(g->root, "", AT_EMPTY_PATH, &readonly) < 0 || fchdir(g->root) < 0 ||
		nsi_pivot_root(".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/work") < 0)
		return nsi_fail(g->err, errno, "changing to", "a root directory of its own", NULL);
	return 0;
}

int nsi_mount_workshop(int work, struct nsi_error *err)
{
	int trees[PARTS] = {-1, -1, -1, -1, -1, -1, -1};
	char links[PARTS][64] = {{0}};
	struct ground g = {.root = -1, .devpts = -1, .err = err};
	cleanup_fd int here = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int root = -1;
	int r = here < 0 ? nsi_fail(err, errno, "opening", "/", NULL) : nsi_mount_private(err);

	if (r == 0)
		r = clone_parts(&g, trees, links);
	if (r == 0) {
		r = new_filesystem("tmpfs", "mode=0755,size=1m", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, &root);
		if (r < 0)
			nsi_fail(err, -r, "making a filesystem of type", "tmpfs", NULL);
	}
	g.root = root;
	if (r == 0)
		r = attach(&g, root, here, "/");
	if (r == 0)
		r = furnish(&g, trees, links, work);
	if (r == 0)
		r = enter(&g);
	for (int i = 0; i < PARTS; i++)
		if (trees[i] >= 0)
			close(trees[i]);
	return r;
}
