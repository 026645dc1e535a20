#include "state.h"

#include "../act/cgroup.h"
#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/io.h"
#include "../base/str.h"
#include "../parse/policy.h"
#include "../parse/proc.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

/* Root's, and at most passed through by others. */
static int make_dir(const char *path, mode_t mode, struct nsi_error *err)
{
	bool made = mkdir(path, mode) == 0;
	struct stat st;

	if (!made && errno != EEXIST)
		return nsi_fail(err, errno, "making directory", path, NULL);
	if (lstat(path, &st) < 0)
		return nsi_fail(err, errno, "checking directory", path, NULL);
	bool own = S_ISDIR(st.st_mode) && st.st_uid == geteuid();
	mode_t is = st.st_mode & 07777;
	/* The umask has taken some of it, of ours or of somebody's who has made it just now. */
	if (own && is != mode && (made || (is & ~mode) == 0)) {
		if (chmod(path, mode) < 0)
			return nsi_fail(err, errno, "making directory", path, NULL);
		is = mode;
	}
	if (!own || is != mode)
		return nsi_failf(err, EPERM, "checking directory", path, "remove it",
			"it is not root's with mode %04o", (unsigned)mode);
	return 0;
}

const char *nsi_run_root(char buf[64])
{
	struct stat st;
	uid_t uid = geteuid();

	snprintf(buf, 64, "/run/user/%u", (unsigned)uid);
	if (uid == 0)
		snprintf(buf, 64, NSI_RUN_DIR);
	else if (stat(buf, &st) == 0 && st.st_uid == uid)
		snprintf(buf, 64, "/run/user/%u/nsinit", (unsigned)uid);
	else
		snprintf(buf, 64, "/tmp/.nsinit-%u", (unsigned)uid);
	return buf;
}

int nsi_run_dir(struct nsi_error *err)
{
	char own[64];

	if (geteuid() != 0)
		return make_dir(nsi_run_root(own), 0700, err);
	int r = make_dir(NSI_RUN_DIR, 0711, err);

	if (r == 0)
		r = make_dir(NSI_RUN_DIR "/ranges", 0700, err);
	if (r == 0)
		r = make_dir(NSI_RUN_DIR "/leases", 0700, err);
	if (r == 0)
		r = make_dir(NSI_EPHEMERAL_DIR, 0700, err);
	return r < 0 ? r : make_dir(NSI_RUN_DIR "/doors", 0711, err);
}

int nsi_container_id(int rootfd, char id[NSI_ID_SIZE], struct nsi_error *err)
{
	struct stat st, host;

	if (fstat(rootfd, &st) < 0 || stat("/", &host) < 0)
		return nsi_fail(err, errno, "checking", "the rootfs directory", NULL);
	if (st.st_dev == host.st_dev && st.st_ino == host.st_ino) {
		nsi_failf(err, EINVAL, "checking", "the rootfs directory", NULL, "it is the host's own /");
		return nsi_error_reason(err, "rootfs");
	}
	snprintf(id, NSI_ID_SIZE, "%llx-%llx", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	return 0;
}

static void lock_path(char path[PATH_MAX], const char *id)
{
	char root[64];

	snprintf(path, PATH_MAX, "%s/%s.lock", nsi_run_root(root), id);
}

int nsi_lock(const char *id, int timeout_ms, int *ret_fd, struct nsi_error *err)
{
	char path[PATH_MAX];
	struct stat st;

	lock_path(path, id);
	for (int waited = 0;; waited += 2) {
		cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return nsi_fail(err, errno, "opening", path, NULL);
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			/* One that its holder has removed meanwhile keeps nobody out. */
			if (fstat(fd, &st) < 0 || st.st_nlink == 0)
				continue;
			*ret_fd = nsi_take_fd(&fd);
			return 0;
		}
		if (errno != EWOULDBLOCK && errno != EINTR)
			return nsi_fail(err, errno, "locking", path, NULL);
		if (waited >= timeout_ms)
			return nsi_failf(
				err, ETIMEDOUT, "locking", path, NULL, "another start takes too long");
		poll(NULL, 0, 2);
	}
}

void nsi_lock_remove(const char *id)
{
	char path[PATH_MAX];

	lock_path(path, id);
	unlink(path);
}

uint64_t nsi_start_time(pid_t pid)
{
	char path[40], text[1024];
	uint64_t start;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	return nsi_stat_start_time(text, &start) ? start : 0;
}

int nsi_open_process(pid_t pid, uint64_t start)
{
	cleanup_fd int fd = pid > 0 ? nsi_pidfd_open(pid) : -1;

	/* Held first, compared then: from here on the number cannot pass to another process unnoticed. */
	if (fd < 0 || start == 0 || nsi_start_time(pid) != start)
		return -1;
	return nsi_take_fd(&fd);
}

void nsi_boot_id(char text[NSI_BOOT_ID_SIZE])
{
	cleanup_fd int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	memset(text, 0, NSI_BOOT_ID_SIZE);
	if (fd >= 0 && read(fd, text, 36) != 36)
		text[0] = '\0';
}

static void state_path(char path[PATH_MAX], const char *id, const char *file)
{
	char root[64];

	snprintf(path, PATH_MAX, "%s/%s%s%s", nsi_run_root(root), id, *file ? "/" : "", file);
}

int nsi_state_write(const char *id, struct nsi_state *state, struct nsi_error *err)
{
	char fresh[PATH_MAX];

	state->magic = NSI_STATE_MAGIC;
	state->size = sizeof(*state);
	nsi_boot_id(state->boot_id);
	state_path(fresh, id, "state.new");
	cleanup_fd int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return nsi_fail(err, errno, "creating", fresh, NULL);
	int r = nsi_write_full(fd, state, sizeof(*state));
	return r < 0 ? nsi_fail(err, -r, "writing", fresh, NULL) : 0;
}

int nsi_state_commit(const char *id, struct nsi_error *err)
{
	char path[PATH_MAX], fresh[PATH_MAX];

	state_path(path, id, "state");
	state_path(fresh, id, "state.new");
	return rename(fresh, path) < 0 ? nsi_fail(err, errno, "renaming", fresh, NULL) : 0;
}

bool nsi_state_accept(struct nsi_state *state, size_t size, const char boot_id[NSI_BOOT_ID_SIZE])
{
	if (size != sizeof(*state) || state->magic != NSI_STATE_MAGIC || state->size != sizeof(*state) ||
		memcmp(state->boot_id, boot_id, NSI_BOOT_ID_SIZE) != 0)
		return false;
	state->rootfs[sizeof(state->rootfs) - 1] = '\0';
	state->user[sizeof(state->user) - 1] = '\0';
	state->cgroup[sizeof(state->cgroup) - 1] = '\0';
	return true;
}

int nsi_state_read(const char *id, struct nsi_state *ret, struct nsi_error *err)
{
	char path[PATH_MAX], current[NSI_BOOT_ID_SIZE];
	struct nsi_state state;

	state_path(path, id, "state");
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return nsi_fail(err, errno, "opening", path, NULL);
	ssize_t n = read(fd, &state, sizeof(state));
	nsi_boot_id(current);
	if (n < 0 || !nsi_state_accept(&state, (size_t)n, current))
		return nsi_failf(err, ENOENT, "reading", path, NULL, "left by another boot or version");
	*ret = state;
	return 0;
}

void nsi_state_remove(const char *id)
{
	static const char *const files[] = {"control", "state", "state.new", ""};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		state_path(path, id, files[i]);
		if (*files[i])
			unlink(path);
		else
			rmdir(path);
	}
}

void nsi_state_sweep(const char *id, int rootfd, const struct nsi_state *state)
{
	cleanup_fd int pid1 = state ? nsi_open_process(state->pid1, state->pid1_start) : -1;

	if (pid1 >= 0) {
		struct pollfd ended = {.fd = pid1, .events = POLLIN};

		nsi_pidfd_send_signal(pid1, SIGKILL);
		if (state->cgroup[0])
			nsi_cgroup_thaw(state->cgroup); /* who has to reap its processes may be in it */
		poll(&ended, 1, 5000);
	}
	if (state && state->cgroup[0])
		nsi_cgroup_sweep(state->cgroup);
	unlinkat(rootfd, ".nspid", 0);
	nsi_state_remove(id);
}

int nsi_claim_range(const char *id, uint32_t *ret_first, int *ret_fd, struct nsi_error *err)
{
	char path[PATH_MAX];
	uint32_t start = 5381;

	for (const char *p = id; *p; p++)
		start = start * 33 + (unsigned char)*p;
	for (uint32_t i = 0; i < NSI_RANGES; i++) {
		uint32_t slot = (start + i) % NSI_RANGES;

		snprintf(path, sizeof(path), "%s/ranges/%u", NSI_RUN_DIR, slot);
		cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return nsi_fail(err, errno, "opening", path, NULL);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			continue;
		*ret_first = NSI_RANGE_BASE + slot * NSI_RANGE_SIZE;
		*ret_fd = nsi_take_fd(&fd);
		return 0;
	}
	return nsi_failf(err, EAGAIN, "claiming", "a range of ids", NULL, "all %d are in use", NSI_RANGES);
}

int nsi_nspid_create(int rootfd, int *ret_fd, struct nsi_error *err)
{
	if (unlinkat(rootfd, ".nspid", 0) < 0 && errno != ENOENT)
		return nsi_fail(err, errno, "replacing", ".nspid",
			errno == EISDIR || errno == EPERM ? "remove what stands there" : NULL);
	int fd = nsi_openat2(rootfd, ".nspid", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644,
		RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
	if (fd < 0)
		return nsi_fail(err, errno, "creating", ".nspid in the rootfs directory", NULL);
	*ret_fd = fd;
	return 0;
}

int nsi_nspid_write(int fd, pid_t pid, struct nsi_error *err)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", (int)pid);

	int r = nsi_write_full(fd, text, (size_t)len);
	return r < 0 ? nsi_fail(err, -r, "writing", ".nspid", NULL) : 0;
}
