#include "io.h"

#include "cleanup.h"
#include "compat.h"
#include "str.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int check_trusted(int fd, const char *path, struct stat *ret_st, struct nsi_error *err)
{
	if (fstat(fd, ret_st) < 0)
		return nsi_fail(err, errno, "checking", path, NULL);
	if (S_ISLNK(ret_st->st_mode))
		return nsi_failf(err, ELOOP, "checking", path, "name the real path instead",
			"a component is a symbolic link");
	if (ret_st->st_uid != 0)
		return nsi_failf(err, EPERM, "checking", path, "chown it to root",
			"it belongs to uid %u and not to root", (unsigned)ret_st->st_uid);
	if (ret_st->st_mode & 022)
		return nsi_failf(err, EPERM, "checking", path, "chmod go-w",
			"its mode %04o lets others than root write", (unsigned)(ret_st->st_mode & 07777));
	return 0;
}

int nsi_check_trusted(int fd, const char *shown, struct nsi_error *err)
{
	struct stat st;

	return check_trusted(fd, shown, &st, err);
}

/* Before it is opened to be read: with a device that alone can do something, start a watchdog for one. */
static int check_regular(const struct stat *st, const char *shown, struct nsi_error *err)
{
	return S_ISREG(st->st_mode) ? 0
				    : nsi_failf(err, EINVAL, "reading", shown, NULL, "not a regular file");
}

int nsi_open_trusted(const char *path, int flags, int *ret_fd, bool *ret_private, struct nsi_error *err)
{
	char walk[PATH_MAX], shown[PATH_MAX] = "/";
	cleanup_fd int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool private = false;
	struct stat st;
	char *save = NULL;
	int r;

	if (path[0] != '/' || !nsi_copy(walk, sizeof(walk), path))
		return nsi_failf(err, EINVAL, "opening", path, NULL, "not an absolute path");
	if (dir < 0)
		return nsi_fail(err, errno, "opening", "/", NULL);
	r = check_trusted(dir, "/", &st, err);
	if (r < 0)
		return r;
	char *part = strtok_r(walk, "/", &save);
	while (part) {
		char *next = strtok_r(NULL, "/", &save);
		size_t used = strlen(shown);
		int fd;

		if (strcmp(part, "..") == 0)
			return nsi_failf(err, EINVAL, "opening", path, NULL, "it contains \"..\"");
		snprintf(shown + used, sizeof(shown) - used, "%s%s", used > 1 ? "/" : "", part);
		/* The directory is root's: what is there does not become another thing. */
		if (!next && !(flags & (O_PATH | O_DIRECTORY)) &&
			fstatat(dir, part, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISLNK(st.st_mode) &&
			(r = check_regular(&st, shown, err)) < 0)
			return r;
		fd = openat(dir, part,
			(next ? O_PATH | O_DIRECTORY : flags) | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0)
			return nsi_fail(err, errno, "opening", shown,
				errno == ENOTDIR || errno == ELOOP ? "symbolic links are not followed here"
								   : NULL);
		close(dir);
		dir = fd;
		r = check_trusted(dir, shown, &st, err);
		if (r < 0)
			return r;
		if (next && ((st.st_mode & 077) == 0 || ((st.st_mode & 07) == 0 && st.st_gid == 0)))
		private = true;
		part = next;
	}
	if (ret_private)
		*ret_private = private;
	*ret_fd = nsi_take_fd(&dir);
	return 0;
}

int nsi_read_fd(int fd, const char *name, size_t max, char **ret_text, size_t *ret_len, struct nsi_error *err)
{
	struct stat st;
	size_t len = 0;

	if (fstat(fd, &st) < 0)
		return nsi_fail(err, errno, "reading", name, NULL);
	if (check_regular(&st, name, err) < 0)
		return -EINVAL;
	cleanup_free char *text = malloc(max + 2);
	if (!text)
		return nsi_fail(err, ENOMEM, "reading", name, NULL);
	while (len <= max) {
		ssize_t n = read(fd, text + len, max + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return nsi_fail(err, errno, "reading", name, NULL);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	if (len > max)
		return nsi_failf(err, EFBIG, "reading", name, NULL, "larger than %zu KiB", max / 1024);
	text[len] = '\0';
	*ret_text = text;
	*ret_len = len;
	text = NULL;
	return 0;
}

int nsi_open_in_root(int rootfd, const char *path, const char *shown, int *ret_fd, struct nsi_error *err)
{
	cleanup_fd int found =
		nsi_openat2(rootfd, path, O_PATH | O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	char again[40];
	struct stat st;

	if (found < 0 || fstat(found, &st) < 0)
		return nsi_fail(err, errno, "opening", shown, NULL);
	int r = check_regular(&st, shown, err);
	if (r < 0)
		return r;
	snprintf(again, sizeof(again), "/proc/self/fd/%d", found);
	int fd = open(again, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return nsi_fail(err, errno, "opening", shown, NULL);
	*ret_fd = fd;
	return 0;
}

int nsi_read_in_root(int rootfd, const char *path, const char *shown, size_t max, char **ret_text,
	size_t *ret_len, struct nsi_error *err)
{
	cleanup_fd int fd = -1;
	int r = nsi_open_in_root(rootfd, path, shown, &fd, err);

	return r < 0 ? r : nsi_read_fd(fd, shown, max, ret_text, ret_len, err);
}

int nsi_write_full(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int nsi_write_file(const char *path, const char *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return nsi_write_full(fd, text, strlen(text));
}

int nsi_send(int sock, const void *record, size_t len, const int *fds, int n_fds)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * NSI_MAX_FDS)];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)record, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n_fds > NSI_MAX_FDS)
		return -EINVAL;
	if (n_fds > 0) {
		size_t bytes = sizeof(int) * (size_t)n_fds;

		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(c), fds, bytes);
	}
	for (;;) {
		if (sendmsg(sock, &msg, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

static int wait_readable(int sock, int timeout_ms)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};

	for (;;) {
		int r = poll(&p, 1, timeout_ms);

		if (r > 0)
			return 0;
		if (r == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

ssize_t nsi_receive(int sock, void *record, size_t size, int fds[NSI_MAX_FDS], int timeout_ms)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * NSI_MAX_FDS)];
	} control = {0};
	struct iovec iov = {.iov_base = record, .iov_len = size};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n;
	int r, got = 0;

	for (int i = 0; i < NSI_MAX_FDS; i++)
		fds[i] = -1;
	r = wait_readable(sock, timeout_ms);
	if (r < 0)
		return r;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count && got < NSI_MAX_FDS; i++)
			memcpy(&fds[got++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		for (int i = 0; i < got; i++) {
			close(fds[i]);
			fds[i] = -1;
		}
		return -EMSGSIZE;
	}
	return n;
}

int nsi_chdir(const char *path)
{
	cleanup_fd int dir =
		nsi_openat2(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, RESOLVE_NO_MAGICLINKS);

	return dir < 0 || fchdir(dir) < 0 ? -errno : 0;
}

int nsi_check_stdio(struct nsi_error *err)
{
	struct stat st;

	for (int fd = 0; fd < 3; fd++) {
		if (fstat(fd, &st) < 0)
			continue; /* closed */
		if (S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode) || (fcntl(fd, F_GETFL) & O_PATH))
			return nsi_failf(err, EINVAL, "checking", "standard input and output", NULL,
				"descriptor %d is a handle on the host's file system", fd);
	}
	return 0;
}

int nsi_sealed_copy(const char *path, int *ret_fd, struct nsi_error *err)
{
	cleanup_fd int from = open(path, O_RDONLY | O_CLOEXEC);
	/* 0x10 is MFD_EXEC, asked for explicitly since Linux 6.3, memfd_create(2); older kernels refuse it.
	 */
	cleanup_fd int to = memfd_create("nsinit", MFD_CLOEXEC | MFD_ALLOW_SEALING | 0x10);
	struct stat st;

	if (to < 0 && errno == EINVAL)
		to = memfd_create("nsinit", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (from < 0 || fstat(from, &st) < 0)
		return nsi_fail(err, errno, "opening", path, "is nsinit installed completely?");
	if (to < 0)
		return nsi_fail(err, errno, "copying", path, NULL);
	for (off_t done = 0; done < st.st_size;) {
		ssize_t n = sendfile(to, from, NULL, (size_t)(st.st_size - done));

		if (n <= 0)
			return nsi_fail(err, n < 0 ? errno : EIO, "copying", path, NULL);
		done += n;
	}
	if (fcntl(to, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return nsi_fail(err, errno, "sealing the copy of", path, NULL);
	*ret_fd = nsi_take_fd(&to);
	return 0;
}

const char *nsi_fd_path(int fd, char *buf, size_t size)
{
	char link[40];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, buf, size - 1);
	if (n < 0) {
		snprintf(buf, size, "?");
		return buf;
	}
	buf[n] = '\0';
	return buf;
}
