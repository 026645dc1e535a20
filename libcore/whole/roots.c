#include "roots.h"

#include "../base/cleanup.h"
#include "../base/io.h"
#include "state.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#define ROOTS NSI_RUN_DIR "/roots"

enum { TREE, IMAGE }; /* which byte */

static off_t place(const struct stat *st, int byte)
{
	uint64_t h = (uint64_t)st->st_ino * 0x9e3779b97f4a7c15 ^ (uint64_t)st->st_dev * 0xc2b2ae3d27d4eb4f;

	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9;
	return (off_t)((h >> 3) * 2) + byte;
}

static int lock(int fd, const struct stat *st, int byte, short type)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = place(st, byte), .l_len = 1};

	return fcntl(fd, F_OFD_SETLK, &l) < 0 ? -errno : 0;
}

/* Whether another container has it, in whatever way. */
static int is_locked(int fd, const struct stat *st, int byte)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = place(st, byte), .l_len = 1};

	return fcntl(fd, F_OFD_GETLK, &l) < 0 ? -errno : l.l_type != F_UNLCK;
}

static int refuse(int dirfd, const char *what, int other, const char *of_what, struct nsi_error *err)
{
	char shown[PATH_MAX], path[PATH_MAX] = "";

	if (other >= 0)
		nsi_fd_path(other, path, sizeof(path));
	nsi_failf(err, EBUSY, "claiming", nsi_fd_path(dirfd, shown, sizeof(shown)),
		"give each container and each image a directory beside the others", "%s%s%s", what, path,
		of_what);
	return nsi_error_reason(err, "rootfs");
}

/* 1: somebody else has a lock that keeps us out. */
static int clash(int r, struct nsi_error *err)
{
	if (r == -EAGAIN || r == -EACCES)
		return 1;
	return r < 0 ? nsi_fail(err, -r, "locking", ROOTS, NULL) : r;
}

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

/* To the directory above. 1: done; 0: it is "/" already; or -errno. */
static int go_up(int *dirfd, struct stat *st)
{
	cleanup_fd int up = openat(*dirfd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat above;

	if (up < 0 || fstat(up, &above) < 0)
		return -errno;
	if (same(&above, st))
		return 0;
	close(*dirfd);
	*dirfd = nsi_take_fd(&up);
	*st = above;
	return 1;
}

/*
 * Say that it lies below each of the directories above it, and see that none of them is in use itself; nor
 * `partner`, the image of this root directory or the other way round (NULL: none).
 */
static int claim_place(int fd, int dirfd, const struct stat *partner, struct nsi_error *err)
{
	cleanup_fd int dir = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
	struct stat st;
	int moved;

	if (dir < 0 || fstat(dir, &st) < 0)
		return nsi_fail(err, errno, "checking", "the rootfs directory", NULL);
	while ((moved = go_up(&dir, &st)) > 0) {
		if (partner && same(&st, partner))
			return refuse(dirfd, "it lies in ", dir, ", which it goes with", err);
		int r = clash(lock(fd, &st, TREE, F_RDLCK), err);
		if (r > 0)
			r = refuse(
				dirfd, "it lies in ", dir, ", the root directory of a live container", err);
		if (r == 0 && (r = clash(is_locked(fd, &st, IMAGE), err)) > 0)
			r = refuse(dirfd, "it lies in ", dir, ", an image that is in use", err);
		if (r < 0)
			return r;
	}
	return moved < 0 ? nsi_fail(err, -moved, "opening", "a directory above the rootfs directory", NULL)
			 : 0;
}

static int claim_root(
	int fd, int rootfd, const struct stat *st, const struct stat *image, struct nsi_error *err)
{
	if (image && same(st, image))
		return refuse(rootfd, "it is the image itself", -1, "", err);
	int r = clash(lock(fd, st, TREE, F_WRLCK), err);
	if (r > 0)
		r = refuse(rootfd, "the root directory of a live container, or an image in use, lies in it",
			-1, "", err);
	if (r == 0 && (r = clash(is_locked(fd, st, IMAGE), err)) > 0)
		r = refuse(rootfd, "it is an image that is in use", -1, "", err);
	return r < 0 ? r : claim_place(fd, rootfd, image, err);
}

static int claim_image(
	int fd, int imagefd, const struct stat *st, const struct stat *root, struct nsi_error *err)
{
	int r = clash(lock(fd, st, IMAGE, F_RDLCK), err);

	if (r == 0 && (r = clash(is_locked(fd, st, TREE), err)) > 0)
		r = refuse(imagefd, "the root directory of a live container is this image, or lies in it", -1,
			"", err);
	return r < 0 ? r : claim_place(fd, imagefd, root, err);
}

int nsi_claim_roots(int rootfd, int image, int *ret_fd, struct nsi_error *err)
{
	cleanup_fd int fd = open(ROOTS, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st, image_st;

	if (fd < 0)
		return nsi_fail(err, errno, "opening", ROOTS, NULL);
	if (fstat(rootfd, &st) < 0 || (image >= 0 && fstat(image, &image_st) < 0))
		return nsi_fail(err, errno, "checking", "the rootfs directory", NULL);
	int r = claim_root(fd, rootfd, &st, image >= 0 ? &image_st : NULL, err);
	if (r == 0 && image >= 0)
		r = claim_image(fd, image, &image_st, &st, err);
	if (r == 0)
		*ret_fd = nsi_take_fd(&fd);
	return r;
}
