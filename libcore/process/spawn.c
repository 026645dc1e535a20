#include "spawn.h"

#include "../act/confine.h"
#include "../act/limits.h"
#include "../act/mount.h"
#include "../act/netlink.h"
#include "../act/ns.h"
#include "../act/tty.h"
#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/io.h"
#include "child.h"
#include "idmap.h"
#include "pasta.h"
#include "trees.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ------------------------------------------------------------------ the child */

static int become_namespace_root(const struct nsi_plan *plan, struct nsi_error *err)
{
	if (!(plan->confine.namespaces & CLONE_NEWUSER))
		return 0;
	if ((!plan->confine.no_setgroups && nsi_setgroups(0, NULL) < 0) || nsi_setresgid(0) < 0 ||
		nsi_setresuid(0) < 0)
		return nsi_fail(err, errno, "becoming root of", "the user namespace", NULL);
	return 0;
}

static int build(const struct nsi_plan *plan, bool in_cgroup, int root, const int trees[], int *ret_devpts,
	struct nsi_error *err)
{
	int r = become_namespace_root(plan, err);

	if (r == 0 && in_cgroup && (plan->confine.namespaces & CLONE_NEWCGROUP))
		r = nsi_own_cgroup_root(err);
	if (r == 0 && plan->rootless)
		r = nsi_mount_own_root(root, &root, err);
	if (r == 0 && plan->hostname[0] && sethostname(plan->hostname, strlen(plan->hostname)) < 0)
		r = nsi_fail(err, errno, "setting the hostname to", plan->hostname, NULL);
	if (r == 0 && plan->domainname[0] && setdomainname(plan->domainname, strlen(plan->domainname)) < 0)
		r = nsi_fail(err, errno, "setting the domainname to", plan->domainname, NULL);
	if (r == 0 && plan->loopback)
		r = nsi_net_configure(&plan->network, err);
	if (r == 0)
		r = nsi_mount_plan(plan, root, trees, ret_devpts, err);
	return r;
}

_Noreturn static void child(const struct nsi_plan *plan, const struct nsi_exec *exec, int sync)
{
	int root, trees[NSI_MAX_TREES], out[2] = {-1, -1}, slave = -1;
	struct nsi_error err = {0};
	int r = nsi_trees_receive(plan, sync, &root, trees, &err);

	/* A parent without privilege could not reach ours once we are hidden. */
	if (r == 0 && plan->rootless)
		r = nsi_set_oom_score(-1, &plan->confine.limits, &err);
	/* Not before: an unprivileged parent must be able to write our id maps. */
	if (r == 0)
		r = nsi_hide_process(&err);
	umask(0022);
	if (r == 0)
		r = build(plan, exec->cgroup > 0, root, trees, &out[0], &err);
	if (r == 0 && exec->tty)
		r = nsi_tty_open(out[0], plan->confine.uid, &out[1], &slave, &err);
	if (r == 0)
		r = nsi_confine(&plan->confine, &err);
	if (r < 0)
		nsi_child_fail(sync, &err);
	umask(exec->umask);
	nsi_child_run(exec, &plan->confine.limits, slave, sync, out, exec->tty ? 2 : 1);
}

/* ------------------------------------------------------------------ the parent */

static int open_ns(pid_t pid, const char *name, int *ret_fd, struct nsi_error *err)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return nsi_fail(err, errno, "opening", path, NULL);
	*ret_fd = fd;
	return 0;
}

static int give_network(const struct nsi_plan *plan, pid_t pid, const char *veth, struct nsi_error *err)
{
	cleanup_fd int netns = -1;
	int r;

	if (!plan->network.n_interfaces)
		return 0;
	r = open_ns(pid, "net", &netns, err);
	return r < 0 ? r : nsi_net_connect(&plan->network, veth, netns, err);
}

static int give_trees(
	const struct nsi_plan *plan, pid_t pid, int rootfd, int image, int sync, struct nsi_error *err)
{
	cleanup_fd int userns = -1;
	int r = 0;

	if (!plan->rootless && (plan->confine.namespaces & CLONE_NEWUSER))
		r = open_ns(pid, "user", &userns, err);
	return r < 0 ? r : nsi_trees_send(plan, userns, rootfd, image, sync, err);
}

static int prepare(const struct nsi_plan *plan, int rootfd, int image, const char *veth,
	struct nsi_process *p, struct nsi_error *err)
{
	int r = 0;

	if (plan->rootless)
		r = nsi_map_rootless(p->pid, &plan->confine.ids, err);
	else if (plan->confine.namespaces & CLONE_NEWUSER)
		r = nsi_write_idmaps(p->pid, &plan->confine.ids, err);
	/* As long as the child can be looked at: without privilege pasta could not open its namespaces later.
	 */
	if (r == 0 && plan->network.type == NSI_NET_PASTA)
		r = nsi_pasta_start(&plan->network, p->pid, &p->pasta, err);
	if (r == 0)
		r = give_network(plan, p->pid, veth, err);
	return r < 0 ? r : give_trees(plan, p->pid, rootfd, image, p->sync, err);
}

/*
 * A user namespace belongs to the effective uid that made it, user_namespaces(7). The login user's own is one
 * that nsinit-shell enters without any privilege of its own. The child is to become root inside by itself.
 */
static pid_t clone_owned(const struct nsi_plan *plan, int cgroup, int *ret_pidfd)
{
	bool owned = plan->login.present && (plan->confine.namespaces & CLONE_NEWUSER);
	/* A new cgroup namespace has its maker's cgroup for a root: pid 1 makes it, when it is in its own. */
	uint64_t flags = plan->confine.namespaces & ~(cgroup > 0 ? (uint64_t)CLONE_NEWCGROUP : 0);

	if (owned && nsi_act_as(plan->login.uid) < 0)
		return -1;
	return nsi_clone3_into(flags, cgroup, ret_pidfd);
}

/* Always allowed, credentials(7). Only memory can be short: not twice. */
static int act_as_before(uid_t self, struct nsi_error *err)
{
	if (geteuid() == self || nsi_act_as_before(self) == 0 || nsi_act_as_before(self) == 0)
		return 0;
	return nsi_fail(err, errno, "becoming root again after making", "the container's namespaces", NULL);
}

static int fail_clone(int code, struct nsi_error *err)
{
	return nsi_fail(err, code, "making", "the container's namespaces",
		code == ENOSPC  ? "a limit in /proc/sys/user is reached"
		: code == EPERM ? "user namespaces are closed to ordinary users on this host "
				  "(kernel.unprivileged_userns_clone, AppArmor): run it as root"
				: NULL);
}

int nsi_spawn(const struct nsi_plan *plan, const struct nsi_exec *exec, int rootfd, int image,
	const char *veth, struct nsi_process *ret, struct nsi_error *err)
{
	struct nsi_process p = {.pid = -1, .pidfd = -1, .sync = -1, .pty = -1, .devpts = -1};
	uid_t self = geteuid();
	int pair[2];
	int r = nsi_raise_limits(&plan->confine.limits, err);

	if (r < 0)
		return nsi_error_reason(err, "spawn");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return nsi_fail(err, errno, "making", "a socket pair", NULL);
	p.pid = clone_owned(plan, exec->cgroup, &p.pidfd);
	if (p.pid == 0) {
		close(pair[0]);
		child(plan, exec, pair[1]);
	}
	r = p.pid < 0 ? fail_clone(errno, err) : 0;
	close(pair[1]);
	p.sync = pair[0];
	if (act_as_before(self, r < 0 ? NULL : err) < 0)
		r = -EPERM;
	if (r == 0)
		r = prepare(plan, rootfd, image, veth, &p, err);
	if (r < 0) {
		nsi_process_discard(&p);
		if (err && !err->reason[0])
			nsi_error_reason(err, "spawn");
		return r;
	}
	*ret = p;
	return 0;
}

int nsi_spawn_ready(const struct nsi_plan *plan, struct nsi_process *p, struct nsi_error *err)
{
	int fds[2] = {-1, -1};
	int r = nsi_sync_expect(p->sync, NSI_SYNC_READY, fds, 2, err);

	p->devpts = fds[0];
	p->pty = fds[1];
	if (r == 0 && !plan->rootless)
		r = nsi_set_oom_score(p->pidfd, &plan->confine.limits, err);
	if (r < 0 && err && !err->reason[0])
		nsi_error_reason(err, "spawn");
	return r;
}
