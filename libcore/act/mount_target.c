/* Where things are mounted: places in a tree that is not to be trusted. */
#include "../base/cleanup.h"
#include "../base/compat.h"
#include "mount_ground.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int fail_target(struct ground *g, int code, const char *target)
{
	return nsi_fail(g->err, code, "opening mount target", target,
		code == ELOOP ? "it passes through a symbolic link; make it a real directory" : NULL);
}

int open_dir(struct ground *g, const char *target, int *ret_fd)
{
	cleanup_fd int dir = nsi_openat2(g->root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0, STRICT);
	char part[256];

	if (dir < 0)
		return fail_target(g, errno, "/");
	while (*target) {
		size_t len = strcspn(target, "/");
		int next;

		if (len == 0 || len >= sizeof(part)) {
			if (len == 0) {
				target++;
				continue;
			}
			return fail_target(g, ENAMETOOLONG, target);
		}
		memcpy(part, target, len);
		part[len] = '\0';
		next = nsi_openat2(dir, part, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, STRICT);
		if (next < 0 && errno == ENOENT) {
			if (mkdirat(dir, part, 0755) < 0 && errno != EEXIST)
				return nsi_fail(
					g->err, errno, "making directory", part, "in the container's root");
			next = nsi_openat2(dir, part, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, STRICT);
		}
		if (next < 0)
			return fail_target(g, errno, part);
		close(dir);
		dir = next;
		target += len;
	}
	*ret_fd = nsi_take_fd(&dir);
	return 0;
}

int open_file(struct ground *g, const char *target, uint64_t resolve, int *ret_fd)
{
	char parent[256];
	int dir = -1, fd, r;

	fd = nsi_openat2(g->root, target, O_PATH | O_CLOEXEC, 0, resolve);
	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	if (errno != ENOENT)
		return fail_target(g, errno, target);
	const char *slash = strrchr(target, '/'), *name = slash ? slash + 1 : target;
	snprintf(parent, sizeof(parent), "%.*s", (int)(name - target), target);
	r = open_dir(g, parent, &dir);
	if (r < 0)
		return r;
	fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd >= 0) {
		close(fd);
		fd = nsi_openat2(dir, name, O_PATH | O_CLOEXEC, 0, STRICT);
	}
	r = fd < 0 ? fail_target(g, errno, target) : 0;
	close(dir);
	if (r == 0)
		*ret_fd = fd;
	return r;
}

int open_existing(struct ground *g, const char *target, int *ret_fd)
{
	int fd = nsi_openat2(g->root, target, O_PATH | O_CLOEXEC, 0, STRICT);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return -ENOENT;
	if (fd < 0)
		return fail_target(g, errno, target);
	*ret_fd = fd;
	return 0;
}

int attach(struct ground *g, int mount_fd, int target_fd, const char *target)
{
	if (nsi_move_mount(mount_fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
		0)
		return nsi_fail(g->err, errno, "mounting on", target, NULL);
	return 0;
}
