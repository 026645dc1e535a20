#include "container.h"

#include "../../libcore/act/devices.h"
#include "../../libcore/act/limits.h"
#include "../../libcore/act/netlink.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/str.h"
#include "../../libcore/process/pasta.h"
#include "../../libcore/process/spawn.h"
#include "../../libcore/whole/changes.h"
#include "../../libcore/whole/control.h"
#include "../../libcore/whole/rootfs.h"
#include "../../libcore/whole/roots.h"
#include "filter.h"
#include "image.h"
#include "network.h"
#include "rootless.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

enum { SPARED_BY = 500 };

/*
 * Outside, where the policy says so; else the root directory's own, which with an image is the image's. That
 * of `nsinit exec` may lie anywhere, and no policy limits what it asks for: where root runs it, it must be
 * root's.
 */
static int open_spec(
	int dirfd, const struct nsi_decision *decision, const char *shown, int *ret_fd, struct nsi_error *err)
{
	if (decision && decision->config[0])
		return nsi_open_trusted(decision->config, O_RDONLY, ret_fd, NULL, err);
	int r = nsi_open_in_root(dirfd, "container.json", shown, ret_fd, err);
	if (r == -ENOENT && faccessat(dirfd, "upper", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return nsi_fail(err, ENOENT, "opening", shown,
			"if it takes a user's changes to an image: nsinit exec --for USER");
	if (r == 0 && !decision && geteuid() == 0)
		r = nsi_check_trusted(*ret_fd, shown, err);
	return r;
}

static int load_spec(const struct container *c, const struct nsi_decision *decision, struct nsi_spec **ret,
	struct nsi_error *err)
{
	int dirfd = c->image >= 0 ? c->image : c->rootfd;
	char dir[PATH_MAX - 32], shown[PATH_MAX];
	cleanup_free char *text = NULL;
	cleanup_fd int fd = -1;
	size_t len = 0;

	snprintf(shown, sizeof(shown), "%s/container.json", nsi_fd_path(dirfd, dir, sizeof(dir)));
	if (decision && decision->config[0])
		snprintf(shown, sizeof(shown), "%s", decision->config);
	int r = open_spec(dirfd, decision, shown, &fd, err);
	if (r == 0)
		r = nsi_read_fd(fd, shown, NSI_SPEC_MAX_BYTES, &text, &len, err);
	if (r < 0 || !text)
		return nsi_error_reason(err, "spec");
	return nsi_spec_parse(shown, text, len, ret, err);
}

static int claim_range(
	struct container *c, const struct nsi_login *login, uint32_t *ret_range, struct nsi_error *err)
{
	int r = login ? nsi_check_login_ids(&login->user, err) : 0;

	if (r < 0)
		return r;
	if (login && login->decision.ownership == NSI_OWNERSHIP_SHIFTED)
		return nsi_claim_owned_range(c->rootfd, login, ret_range, &c->range, err);
	return nsi_claim_range(c->id, ret_range, &c->range, err);
}

/* `view` is the directory to read the image's files from. */
static int make_plan(struct container *c, int view, const struct nsi_spec *spec,
	const struct nsi_login *login, struct nsi_error *err)
{
	struct nsi_image image = {0};
	uint32_t range = 0;
	int r = image_read_all(view, &image, err);

	if (r == 0 && login && login->decision.dns == NSI_DNS_HOST) {
		cleanup_fd int host = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = image_read(host, "resolv.conf", &image.host_resolv_conf, err);
	}
	if (r == 0 && geteuid() == 0 && nsi_plan_wants_range(spec, login))
		r = claim_range(c, login, &range, err);
	if (r == 0)
		r = nsi_plan_make(spec, login, &image, range, &c->plan, err);
	if (r == 0 && geteuid() != 0)
		r = rootless_plan(c->plan, err);
	if (r == 0)
		r = filter_make(spec, c->plan, err);
	image_free(&image);
	return r;
}

struct container container_none(void)
{
	return (struct container){.rootfd = -1,
		.image = -1,
		.range = -1,
		.roots = -1,
		.listen = -1,
		.door = -1,
		.nspid = -1,
		.proc = -1,
		.cgroup = {.dir = -1, .own = -1},
		.pid1 = {.pid = -1, .pidfd = -1, .sync = -1, .pty = -1, .devpts = -1}};
}

int container_load(struct container *c, int rootfd, const struct nsi_login *login, struct nsi_error *err)
{
	const struct nsi_decision *decision = login ? &login->decision : NULL;
	struct nsi_spec *spec = NULL;
	cleanup_fd int view = -1;
	int r;

	*c = container_none();
	c->rootfd = rootfd;
	snprintf(c->veth, sizeof(c->veth), "ns%d", (int)getpid());
	r = nsi_container_id(rootfd, c->id, err);
	if (r == 0 && decision && decision->image[0])
		r = nsi_image_open(decision, &c->image, err);
	/* An ordinary user's are nobody else's: whoever is root in one can change all of them anyway. */
	if (r == 0 && geteuid() == 0)
		r = nsi_claim_roots(rootfd, c->image, &c->roots, err);
	if (r == 0 && c->image >= 0 && decision && !decision->ephemeral)
		r = nsi_changes_limit(decision, rootfd, c->note, sizeof(c->note), err);
	c->size = decision && c->image >= 0 && !c->note[0] ? decision->size : 0;
	if (r == 0 && c->image >= 0)
		r = nsi_image_view(decision, c->image, rootfd, &view, err);
	if (r == 0)
		r = load_spec(c, decision, &spec, err);
	if (r == 0)
		r = network_prepare(c->id, spec, login, &c->leases, err);
	if (r == 0)
		r = make_plan(c, view >= 0 ? view : rootfd, spec, login, err);
	nsi_spec_free(spec);
	return r;
}

/* While pid 1 builds its root: nobody finds the container before its state is committed. */
static int record(struct container *c, struct nsi_error *err)
{
	struct nsi_state state = {
		.supervisor = getpid(), .pid1 = c->pid1.pid, .supervisor_start = nsi_start_time(getpid())};

	state.pid1_start = nsi_start_time(c->pid1.pid);
	nsi_fd_path(c->rootfd, state.rootfs, sizeof(state.rootfs));
	nsi_copy_array(state.user, c->plan->login.name);
	if (c->cgroup.dir >= 0)
		nsi_copy_array(state.cgroup, c->cgroup.path);
	return nsi_state_write(c->id, &state, err);
}

/* It takes the place of the door of the user's other container: not before all the rest is done. */
static int open_door(struct container *c, struct nsi_error *err)
{
	if (!c->plan->login.present || !(c->plan->confine.namespaces & CLONE_NEWUSER))
		return 0;
	snprintf(c->door_name, sizeof(c->door_name), "%u", (unsigned)c->plan->login.uid);
	return nsi_door_open(c->door_name, c->plan->login.uid, 0600, &c->door, err);
}

/*
 * Whose members would be told by another file system, or by the host's own proc, would be signalled. Only
 * that of a pid namespace in which this process is not has no entry "self" for it.
 */
static bool is_proc_of_another(int fd)
{
	struct statfs fs;
	char unused[16];

	return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC &&
	       faccessat(fd, "uptime", F_OK, 0) == 0 && readlinkat(fd, "self", unused, sizeof(unused)) < 0 &&
	       errno == ENOENT;
}

/*
 * Nothing of the container runs yet, but its root directory may be changed by others. A container without a
 * pid namespace has no /proc whose members could be told, and one of `nsinit exec` has no lifetime to tell
 * them for.
 */
static int open_proc(struct container *c, struct nsi_error *err)
{
	char path[40];

	if (!c->plan->login.present || !(c->plan->confine.namespaces & CLONE_NEWPID))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/root", (int)c->pid1.pid);
	cleanup_fd int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return nsi_fail(err, errno, "opening", path, NULL);
	cleanup_fd int proc = nsi_openat2(root, "proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0,
		RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS);
	if (proc < 0)
		return nsi_fail(err, errno, "opening", "the container's /proc", NULL);
	if (!is_proc_of_another(proc))
		return nsi_failf(err, ESTALE, "opening", "the container's /proc", NULL,
			"something else has come in its place");
	c->proc = nsi_take_fd(&proc);
	return 0;
}

/*
 * With pid 1 every session ends: the kernel is to kill it last. It never forks, and hides its memory: only
 * who may trace whatever runs inside could have the lower score for a process of their own.
 */
static void spare_init(const struct container *c)
{
	if (!(c->plan->confine.capabilities & UINT64_C(1) << CAP_SYS_PTRACE))
		nsi_spare_process(c->pid1.pidfd, SPARED_BY);
}

int container_start(struct container *c, const struct nsi_exec *exec, struct nsi_error *err)
{
	struct nsi_exec placed = *exec;
	int r = nsi_nspid_create(c->rootfd, &c->nspid, err);

	if (r == 0 && (c->plan->resources.set || c->plan->session_resources.set || c->plan->n_devices))
		r = nsi_cgroup_make(c->id, &c->plan->resources, c->plan->resources_optional, &c->cgroup, err);
	if (r == 0 && (c->cgroup.dir >= 0 || c->plan->n_devices))
		r = nsi_devices_hold(c->cgroup.dir, c->plan->devices, c->plan->n_devices, err);
	placed.cgroup = c->cgroup.dir;
	if (r == 0)
		r = nsi_spawn(c->plan, &placed, c->rootfd, c->image, c->veth, &c->pid1, err);
	if (r == 0)
		r = nsi_control_listen(c->id, &c->listen, err);
	if (r == 0)
		r = record(c, err);
	if (r == 0)
		r = nsi_spawn_ready(c->plan, &c->pid1, err);
	if (r == 0 && c->plan->session_resources.set)
		r = nsi_cgroup_divide(&c->cgroup, c->pid1.pidfd, &c->plan->session_resources,
			c->plan->resources_optional, err);
	if (r == 0)
		r = open_proc(c, err);
	if (r == 0)
		r = nsi_nspid_write(c->nspid, c->pid1.pid, err);
	if (r == 0 && c->size)
		r = nsi_changes_hold(c->rootfd, c->size, err);
	if (r == 0)
		r = nsi_state_commit(c->id, err);
	if (r == 0)
		r = open_door(c, err);
	if (r == 0)
		r = nsi_process_go(&c->pid1, err);
	if (r == 0 && c->plan->login.present)
		spare_init(c);
	if (r < 0)
		container_end(c);
	return r;
}

/* Nothing of it runs any more: the next start may come before this process has ended. */
static void release_claims(struct container *c)
{
	if (c->roots >= 0)
		close(nsi_take_fd(&c->roots));
	if (c->range >= 0)
		close(nsi_take_fd(&c->range));
	nsi_leases_release(&c->leases);
}

/* Only the file that we made: the container may have put another in its place. */
static void remove_nspid(const struct container *c)
{
	struct stat ours, there;

	if (c->nspid >= 0 && fstat(c->nspid, &ours) == 0 &&
		fstatat(c->rootfd, ".nspid", &there, AT_SYMLINK_NOFOLLOW) == 0 &&
		ours.st_ino == there.st_ino && ours.st_dev == there.st_dev)
		unlinkat(c->rootfd, ".nspid", 0);
}

int container_signal(const struct container *c, int sig)
{
	cleanup_fd int again = c->proc < 0 ? -1 : openat(c->proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = again < 0 ? NULL : fdopendir(again);
	const struct dirent *entry;
	unsigned long long pid;
	int n = 0;

	if (!dir)
		return -1;
	nsi_take_fd(&again);
	while ((entry = readdir(dir))) {
		if (!nsi_parse_number(entry->d_name, 2, INT_MAX, &pid))
			continue;
		/* A process's directory stands for it as a pidfd does, pidfd_send_signal(2). */
		cleanup_fd int process =
			openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (process >= 0 && nsi_pidfd_send_signal(process, sig) == 0)
			n++;
	}
	closedir(dir);
	return n;
}

int container_end(struct container *c)
{
	cleanup_fd int lock = -1;
	int status = -1;

	/* Nobody connects any more; whoever finds the socket gone waits for this process to end. */
	if (c->listen >= 0)
		close(nsi_take_fd(&c->listen));
	if (c->door >= 0)
		nsi_door_close(c->door_name, nsi_take_fd(&c->door));
	if (c->pid1.pid > 0) {
		/* Our unreaped child: the number is its own. */
		bool killed = kill(c->pid1.pid, SIGKILL) == 0;
		/* A paused one would never end: pid 1 waits until the parents of all have reaped them. */
		if (c->cgroup.dir >= 0)
			nsi_cgroup_freeze(c->cgroup.dir, false, NULL);
		/* Otherwise it dies of our end, nsi_child_run(). */
		while (killed && waitpid(c->pid1.pid, &status, 0) < 0 && errno == EINTR)
			continue;
		c->pid1.pid = -1;
	}
	nsi_pasta_end(&c->pid1.pasta);
	nsi_cgroup_end(&c->cgroup);
	if (c->plan)
		nsi_net_disconnect(&c->plan->network, c->veth);
	release_claims(c);
	/* Not waited for: who starts the container anew holds it, and waits for this process to end. */
	nsi_lock(c->id, 0, &lock, NULL);
	remove_nspid(c);
	nsi_state_remove(c->id);
	if (lock >= 0)
		nsi_lock_remove(c->id);
	return status;
}

void container_free(struct container *c)
{
	int *const fds[] = {&c->rootfd, &c->image, &c->listen, &c->door, &c->nspid, &c->pid1.pidfd,
		&c->pid1.sync, &c->pid1.pty, &c->pid1.devpts, &c->proc, &c->cgroup.dir, &c->cgroup.own};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (*fds[i] >= 0)
			close(nsi_take_fd(fds[i]));
	release_claims(c);
	nsi_plan_free(c->plan);
	c->plan = NULL;
}
