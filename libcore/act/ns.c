#include "ns.h"

#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/io.h"
#include "mount.h"

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

int nsi_private_mounts(int *ret_old, struct nsi_error *err)
{
	cleanup_fd int old = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

	if (old < 0)
		return nsi_fail(err, errno, "opening", "/proc/self/ns/mnt", NULL);
	if (unshare(CLONE_NEWNS) < 0)
		return nsi_fail(err, errno, "unsharing", "the mount namespace", NULL);
	/* A slave: what the host unmounts must not stay pinned here. */
	int r = nsi_mount_slave(err);
	if (r < 0) {
		nsi_leave(old);
		return r;
	}
	*ret_old = nsi_take_fd(&old);
	return 0;
}

int nsi_lesser_mounts(int userns, struct nsi_error *err)
{
	if (setns(userns, CLONE_NEWUSER) < 0)
		return nsi_fail(err, errno, "entering", "the container's user namespace", NULL);
	if (unshare(CLONE_NEWNS) < 0)
		return nsi_fail(err, errno, "unsharing", "the mount namespace", NULL);
	return 0;
}

int nsi_leave(int old_mount_namespace)
{
	return setns(old_mount_namespace, CLONE_NEWNS) < 0 ? -errno : 0;
}

int nsi_own_cgroup_root(struct nsi_error *err)
{
	return unshare(CLONE_NEWCGROUP) < 0 ? nsi_fail(err, errno, "unsharing", "the cgroup namespace", NULL)
					    : 0;
}

int nsi_own_nothing(struct nsi_error *err)
{
	return unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0
		       ? nsi_fail(err, errno, "unsharing", "the host's namespaces", NULL)
		       : 0;
}
