#include "ns.h"

#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/io.h"
#include "mount.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { OVERFLOW_GID = 65534 }; /* what an unmapped gid looks like, user_namespaces(7) */

int nsi_enter(int pidfd, uint64_t namespaces, struct nsi_error *err)
{
	if (setns(pidfd, (int)namespaces) < 0)
		return nsi_fail(err, errno, "entering the namespaces of", "pid 1 of the container",
			errno == ESRCH ? "it has ended" : NULL);
	if (!(namespaces & CLONE_NEWUSER))
		return 0;
	/* The kernel clears capabilities at setuid only for one who leaves the namespace's own uid 0: without
	 * this, whoever drops privileges next would keep them. A gid of the user's stays: sudo has set it
	 * already, and does not again. */
	if ((getegid() == OVERFLOW_GID && nsi_setresgid(0) < 0) || nsi_setresuid(0) < 0)
		return nsi_fail(err, errno, "becoming root of", "the user namespace", NULL);
	return 0;
}

static int write_map(pid_t pid, const char *file, const struct nsi_idmap *map, int n, struct nsi_error *err)
{
	char path[64], text[512];
	size_t len = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	for (int i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%u %u %u\n", map[i].inside,
			map[i].outside, map[i].count);
	int r = nsi_write_file(path, text);
	if (r < 0)
		return nsi_fail(err, -r, "writing", path, NULL);
	return 0;
}

int nsi_write_own_idmaps(pid_t pid, const struct nsi_ids *ids, struct nsi_error *err)
{
	char path[64];

	/* Without it nobody unprivileged may write a gid_map, user_namespaces(7). */
	snprintf(path, sizeof(path), "/proc/%d/setgroups", (int)pid);
	int r = nsi_write_file(path, "deny");
	if (r < 0)
		return nsi_fail(err, -r, "writing", path, NULL);
	return nsi_write_idmaps(pid, ids, err);
}

int nsi_write_idmaps(pid_t pid, const struct nsi_ids *ids, struct nsi_error *err)
{
	int r = write_map(pid, "uid_map", ids->uids, ids->n_uids, err);

	return r < 0 ? r : write_map(pid, "gid_map", ids->gids, ids->n_gids, err);
}

/* The kernel refuses it to a process that has threads, and it changes nothing for any other, unshare(2). */
bool nsi_has_threads(void)
{
	return unshare(CLONE_THREAD) < 0;
}

static int remember(struct nsi_mounts_before *ret, struct nsi_error *err)
{
	cleanup_fd int ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	cleanup_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (ns < 0)
		return nsi_fail(err, errno, "opening", "/proc/self/ns/mnt", NULL);
	if (root < 0 || cwd < 0)
		return nsi_fail(err, errno, "opening", root < 0 ? "/" : "the working directory", NULL);
	*ret = (struct nsi_mounts_before){nsi_take_fd(&ns), nsi_take_fd(&root), nsi_take_fd(&cwd)};
	return 0;
}

int nsi_private_mounts(struct nsi_mounts_before *ret_before, struct nsi_error *err)
{
	struct nsi_mounts_before before = {-1, -1, -1};

	/* It would be the namespace of the calling thread alone, which would never again share its working
	 * directory with the others. */
	if (nsi_has_threads())
		return nsi_failf(err, EINVAL, "unsharing", "the mount namespace",
			"with tty = \"relay\" in the policy it is not needed", "this process has threads");
	int r = remember(&before, err);
	if (r == 0 && unshare(CLONE_NEWNS) < 0)
		r = nsi_fail(err, errno, "unsharing", "the mount namespace", NULL);
	if (r < 0) {
		nsi_mounts_forget(&before);
		return r;
	}
	/* A slave: what the host unmounts must not stay pinned here. */
	r = nsi_mount_slave(err);
	if (r < 0) {
		nsi_leave(&before);
		return r;
	}
	*ret_before = before;
	return 0;
}

void nsi_leave(struct nsi_mounts_before *before)
{
	char cwd[PATH_MAX];

	if (before->ns < 0)
		return;
	bool named = getcwd(cwd, sizeof(cwd)) != NULL;
	/* It moves root and working directory to the root of the namespace, setns(2). */
	if (setns(before->ns, CLONE_NEWNS) == 0) {
		if (fchdir(before->root) == 0)
			(void)!chroot(".");
		if (!named || chdir(cwd) < 0)
			(void)!fchdir(before->cwd);
	}
	nsi_mounts_forget(before);
}

void nsi_mounts_forget(struct nsi_mounts_before *before)
{
	int *const fds[] = {&before->ns, &before->root, &before->cwd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (*fds[i] >= 0)
			close(nsi_take_fd(fds[i]));
}

int nsi_lesser_mounts(int userns, struct nsi_error *err)
{
	if (setns(userns, CLONE_NEWUSER) < 0)
		return nsi_fail(err, errno, "entering", "the container's user namespace", NULL);
	if (unshare(CLONE_NEWNS) < 0)
		return nsi_fail(err, errno, "unsharing", "the mount namespace", NULL);
	return 0;
}

int nsi_own_cgroup_root(struct nsi_error *err)
{
	return unshare(CLONE_NEWCGROUP) < 0 ? nsi_fail(err, errno, "unsharing", "the cgroup namespace", NULL)
					    : 0;
}

int nsi_seclude(struct nsi_error *err)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) < 0)
		return nsi_fail(err, errno, "unsharing", "mounts and network", NULL);
	return 0;
}
