#include "front.h"

#include "../base/cleanup.h"
#include "../base/compat.h"
#include "mount_ground.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <termios.h>

enum { INERT = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC };

int nsi_front_new(int *ret_front, struct nsi_error *err)
{
	int r = new_filesystem("devpts", "mode=0600,ptmxmode=0600", INERT, ret_front);

	return r < 0 ? nsi_fail(err, -r, "making a filesystem of type", "devpts", NULL) : 0;
}

static int over(int tree, const char *path, struct nsi_error *err)
{
	return nsi_move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0
		       ? nsi_fail(err, errno, "mounting on", path, NULL)
		       : 0;
}

/* Where /dev/ptmx is a link it leads into the view. */
static int replace_ptmx(int ptmx, int view, struct nsi_error *err)
{
	struct stat st;

	if (lstat("/dev/ptmx", &st) < 0)
		return nsi_fail(err, errno, "checking", "/dev/ptmx", NULL);
	if (S_ISLNK(st.st_mode)) {
		cleanup_fd int made = openat(view, "ptmx", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		if (made < 0)
			return nsi_fail(err, errno, "making", "/dev/pts/ptmx", NULL);
	}
	return over(ptmx, "/dev/ptmx", err);
}

int nsi_front_mount(int front, int terminals, int *ret_view, int *ret_devpts, struct nsi_error *err)
{
	cleanup_fd int view = -1, ptmx = -1;
	int r = new_filesystem("tmpfs", "mode=0755,size=64k", INERT, &view);

	if (r < 0)
		return nsi_fail(err, -r, "making a filesystem of type", "tmpfs", NULL);
	/* Only what is mounted in this namespace can be bound. */
	r = over(terminals, "/dev/pts", err);
	if (r == 0)
		r = over(front, "/dev/pts", err);
	if (r == 0) {
		ptmx = nsi_open_tree(front, "ptmx", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		r = ptmx < 0 ? nsi_fail(err, errno, "binding", "/dev/pts/ptmx", NULL) : 0;
	}
	if (r == 0)
		r = over(view, "/dev/pts", err);
	if (r == 0)
		r = replace_ptmx(ptmx, view, err);
	cleanup_fd int devpts = r < 0 ? -1 : fcntl(terminals, F_DUPFD_CLOEXEC, 3);
	if (r == 0 && devpts < 0)
		r = nsi_fail(err, errno, "keeping", "the container's devpts", NULL);
	if (r < 0)
		return r;
	*ret_view = nsi_take_fd(&view);
	*ret_devpts = nsi_take_fd(&devpts);
	return 0;
}

int nsi_front_show(int view, int devpts, unsigned as, unsigned number, struct nsi_error *err)
{
	char path[32], source[16];

	snprintf(path, sizeof(path), "/dev/pts/%u", as);
	snprintf(source, sizeof(source), "%u", number);
	const char *name = path + sizeof("/dev/pts/") - 1;
	/* A terminal of that file system: nothing that is mounted on it. */
	cleanup_fd int node =
		nsi_openat2(devpts, source, O_PATH | O_CLOEXEC, 0, RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
	cleanup_fd int tree =
		node < 0 ? -1 : nsi_open_tree(node, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (tree < 0)
		return nsi_fail(err, errno, "binding a terminal on", path, NULL);
	/* What was there before is gone; the first time there is nothing. */
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
		return nsi_fail(err, errno, "unmounting", path, NULL);
	cleanup_fd int made = openat(view, name, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (made < 0 || nsi_move_mount(tree, "", view, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return nsi_fail(err, errno, "mounting on", path, NULL);
	return 0;
}

int nsi_front_check(int devpts, unsigned as, unsigned number, struct nsi_error *err)
{
	static const char hint[] = "this kernel or C library allocates terminals in another way";
	cleanup_fd int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	char path[32], source[16];
	struct stat seen, wanted;
	unsigned got = 0;
	int unlock = 0;

	snprintf(path, sizeof(path), "/dev/pts/%u", as);
	snprintf(source, sizeof(source), "%u", number);
	if (master < 0 || ioctl(master, TIOCGPTN, &got) < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return nsi_fail(err, errno, "allocating", "a terminal", NULL);
	cleanup_fd int peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (peer >= 0 || got != as)
		return nsi_failf(err, ENOTSUP, "allocating", "a recorded terminal", hint,
			peer >= 0 ? "the kernel tells its other end" : "it has another number");
	if (stat(path, &seen) < 0 || fstatat(devpts, source, &wanted, AT_SYMLINK_NOFOLLOW) < 0)
		return nsi_fail(err, errno, "checking", path, NULL);
	if (!S_ISCHR(seen.st_mode) || seen.st_dev != wanted.st_dev || seen.st_ino != wanted.st_ino)
		return nsi_failf(
			err, ENOTSUP, "allocating", "a recorded terminal", hint, "its name leads elsewhere");
	return 0;
}
