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

int ground_of(const struct ground *g, uint64_t resolve, const char **target)
{
	/* The last one first: it may cover those before it. */
	for (int i = g->n_mounted - 1; i >= 0; i--) {
		const struct mounted *m = &g->mounted[i];
		size_t len = strlen(m->target);

		/* A link of a tree that is bound there is meant for the whole root. */
		if ((resolve != STRICT && !m->fresh) || strncmp(*target, m->target, len) != 0 ||
			((*target)[len] != '/' && (*target)[len] != '\0'))
			continue;
		*target += len + ((*target)[len] == '/');
		if (!**target)
			*target = ".";
		return m->fd;
	}
	return g->root;
}

void ground_end(struct ground *g)
{
	while (g->n_mounted > 0)
		close(g->mounted[--g->n_mounted].fd);
}

int open_dir(struct ground *g, const char *target, int *ret_fd)
{
	int base = ground_of(g, STRICT, &target);
	cleanup_fd int dir = nsi_openat2(base, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0, STRICT);
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
	const char *left = target;
	int base = ground_of(g, STRICT, &left);
	int fd = nsi_openat2(base, left, O_PATH | O_CLOEXEC, 0, STRICT);

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

int attach_dir(struct ground *g, int mount_fd, int target_fd, const char *target, bool fresh)
{
	int r = attach(g, mount_fd, target_fd, target);
	struct stat st;

	if (r < 0)
		return r;
	if (fstat(mount_fd, &st) < 0)
		return nsi_fail(g->err, errno, "keeping the mount on", target, NULL);
	if (!S_ISDIR(st.st_mode))
		return 0;
	int fd = g->n_mounted == NSI_MAX_OPS ? -1 : fcntl(mount_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return nsi_fail(g->err, errno, "keeping the mount on", target, NULL);
	g->mounted[g->n_mounted++] = (struct mounted){target, fd, fresh};
	return 0;
}
