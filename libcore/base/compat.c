#include "compat.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int nsi_bpf(int command, union bpf_attr *attr, size_t size)
{
	return (int)syscall(SYS_bpf, command, attr, size);
}

int nsi_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};

	return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

int nsi_open_tree(int dirfd, const char *path, unsigned flags)
{
	return (int)syscall(SYS_open_tree, dirfd, path, flags);
}

int nsi_move_mount(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	return (int)syscall(SYS_move_mount, from_fd, from, to_fd, to, flags);
}

int nsi_mount_setattr(int dirfd, const char *path, unsigned flags, struct mount_attr *attr)
{
	return (int)syscall(SYS_mount_setattr, dirfd, path, flags, attr, sizeof(*attr));
}

int nsi_fsopen(const char *fs, unsigned flags)
{
	return (int)syscall(SYS_fsopen, fs, flags);
}

int nsi_fsconfig(int fd, unsigned cmd, const char *key, const char *value, int aux)
{
	return (int)syscall(SYS_fsconfig, fd, cmd, key, value, aux);
}

int nsi_fsmount(int fd, unsigned flags, unsigned attr)
{
	return (int)syscall(SYS_fsmount, fd, flags, attr);
}

int nsi_quotactl_fd(int fd, unsigned command, unsigned id, void *data)
{
	return (int)syscall(SYS_quotactl_fd, fd, command, id, data);
}

int nsi_pivot_root(const char *new_root, const char *put_old)
{
	return (int)syscall(SYS_pivot_root, new_root, put_old);
}

int nsi_pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

int nsi_pidfd_send_signal(int pidfd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

int nsi_peer_pidfd(int sock)
{
	int fd = -1;
	socklen_t len = sizeof(fd);

	return getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) < 0 ? -1 : fd;
}

int nsi_close_range(unsigned first, unsigned last, unsigned flags)
{
	return (int)syscall(SYS_close_range, first, last, flags);
}

int nsi_execveat(int fd, char *const argv[], char *const envp[])
{
	return (int)syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
}

int nsi_run_apart(int (*run)(void *data), void *data)
{
	_Alignas(16) char stack[16384];
	pid_t pid = clone(run, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, data);

	if (pid < 0)
		return -errno;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	return 0;
}

int nsi_default_action(int sig)
{
	/* sigaction(2)'s structure as the kernel has it, of every architecture: SIG_DFL, no flags, an empty
	 * mask */
	static const unsigned long dfl[16];

	return (int)syscall(SYS_rt_sigaction, sig, dfl, NULL, (_NSIG - 1) / 8);
}

pid_t nsi_fork_unnoticed(int cgroup)
{
	struct clone_args args = {.flags = CLONE_INTO_CGROUP, .cgroup = (uint64_t)cgroup};
	pid_t pid = cgroup > 0 ? (pid_t)syscall(SYS_clone3, &args, sizeof(args)) : -1;

	args = (struct clone_args){0};
	if (pid < 0)
		pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0 && errno == ENOSYS)
		pid = (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
	return pid;
}

pid_t nsi_clone3(uint64_t flags, int *ret_pidfd)
{
	return nsi_clone3_into(flags, 0, ret_pidfd);
}

pid_t nsi_clone3_into(uint64_t flags, int cgroup, int *ret_pidfd)
{
	struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};
	int pidfd = -1;

	if (flags & CLONE_PARENT)
		args.exit_signal = 0; /* the caller's own exit signal is used, clone(2) */
	if (ret_pidfd) {
		args.flags |= CLONE_PIDFD;
		args.pidfd = (uint64_t)(uintptr_t)&pidfd;
	}
	if (cgroup > 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup;
	}
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	/* Container engines' filters, and our own, refuse it so: what it points to cannot be filtered. */
	if (pid < 0 && errno == ENOSYS)
		pid = (pid_t)syscall(
			SYS_clone, (unsigned long)args.flags | args.exit_signal, NULL, &pidfd, NULL, NULL);
	if (pid > 0 && ret_pidfd)
		*ret_pidfd = pidfd;
	return pid;
}

int nsi_capset(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
		{(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)},
	};

	return (int)syscall(SYS_capset, &header, data);
}

int nsi_capget(uint64_t *ret_effective, uint64_t *ret_permitted, uint64_t *ret_inheritable)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -1;
	*ret_effective = data[0].effective | (uint64_t)data[1].effective << 32;
	*ret_permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	*ret_inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	return 0;
}

int nsi_act_as(uid_t uid)
{
	uint64_t effective, permitted, inheritable;

	if (nsi_capget(&effective, &permitted, &inheritable) < 0 || syscall(SYS_setresuid, -1, uid, -1) < 0)
		return -1;
	return nsi_capset(effective, permitted, inheritable);
}

int nsi_act_as_before(uid_t uid)
{
	return (int)syscall(SYS_setresuid, -1, uid, -1);
}

int nsi_new_session_keyring(void)
{
	return (int)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
}

int nsi_seccomp_load(const struct sock_filter *code, unsigned short n)
{
	struct sock_fprog program = {.len = n, .filter = (struct sock_filter *)(uintptr_t)code};

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

int nsi_setresuid(uid_t uid)
{
	return (int)syscall(SYS_setresuid, uid, uid, uid);
}

int nsi_setresgid(gid_t gid)
{
	return (int)syscall(SYS_setresgid, gid, gid, gid);
}

int nsi_setgroups(size_t n, const gid_t *gids)
{
	return (int)syscall(SYS_setgroups, n, gids);
}

bool nsi_kernel_has(const char *name)
{
	static const struct {
		const char *name;
		long number;
	} calls[] = {{"openat2", SYS_openat2}, {"open_tree", SYS_open_tree}, {"move_mount", SYS_move_mount},
		{"fsopen", SYS_fsopen}, {"mount_setattr", SYS_mount_setattr}, {"clone3", SYS_clone3},
		{"pidfd_open", SYS_pidfd_open}, {"pidfd_send_signal", SYS_pidfd_send_signal},
		{"close_range", SYS_close_range}, {"seccomp", SYS_seccomp}};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strcmp(calls[i].name, name) == 0) {
			/* All bits: no descriptor, no address, and no flags that any of them knows. */
			long r = syscall(calls[i].number, -1L, -1L, -1L, -1L, -1L, -1L);

			return r >= 0 || (errno != ENOSYS && errno != EPERM);
		}
	return true;
}
