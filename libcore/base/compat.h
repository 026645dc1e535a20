/* System calls that the C library of a supported release lacks, and their constants. The only syscall(). */
#ifndef NSINIT_COMPAT_H
#define NSINIT_COMPAT_H

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x00100000
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/*
 * Whether the kernel has the system call, of those used here: asked for with arguments that it refuses. False
 * also where a filter withholds it. An unknown name counts as there.
 */
bool nsi_kernel_has(const char *name);

/* bpf(2). */
union bpf_attr;
int nsi_bpf(int command, union bpf_attr *attr, size_t size);

int nsi_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
int nsi_open_tree(int dirfd, const char *path, unsigned flags);
int nsi_move_mount(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int nsi_mount_setattr(int dirfd, const char *path, unsigned flags, struct mount_attr *attr);
int nsi_fsopen(const char *fs, unsigned flags);
int nsi_fsconfig(int fd, unsigned cmd, const char *key, const char *value, int aux);
int nsi_fsmount(int fd, unsigned flags, unsigned attr);
int nsi_quotactl_fd(int fd, unsigned command, unsigned id, void *data); /* -1 before Linux 5.14 */
int nsi_pivot_root(const char *new_root, const char *put_old);
int nsi_pidfd_open(pid_t pid);
int nsi_pidfd_send_signal(int pidfd, int sig);
/* A pidfd of the process that connected, unix(7); -1 before Linux 6.5. Close-on-exec. */
int nsi_peer_pidfd(int sock);
int nsi_close_range(unsigned first, unsigned last, unsigned flags);
int nsi_execveat(int fd, char *const argv[], char *const envp[]);

/*
 * clone3(2) without a new stack: returns twice, like fork(2). Only for single-threaded callers: another
 * thread's C library locks would stay held in the child for ever. `ret_pidfd` may be NULL.
 */
pid_t nsi_clone3(uint64_t flags, int *ret_pidfd);
/* The same, straight into the cgroup of directory `cgroup` where that is > 0. */
pid_t nsi_clone3_into(uint64_t flags, int cgroup, int *ret_pidfd);

/*
 * Run `run` in a process that has this one's memory and descriptors, but what CLONE_FS is about for itself,
 * clone(2): the root and current directories and the mount namespace. A copy of this process would cost ten
 * times as much. Only for single-threaded callers, who stand still meanwhile. What it has to say it leaves in
 * `data`. 0, or -errno where there could be no such process.
 */
int nsi_run_apart(int (*run)(void *data), void *data);

/*
 * fork(2) in somebody else's process: no SIGCHLD tells it of the child, no wait but one with __WALL finds it,
 * and no handler of pthread_atfork(3) runs. The process may have threads: the child is held to what
 * signal-safety(7) allows, and to this function where it forks again. `cgroup` as above; where it
 * cannot be had the child is in the caller's.
 */
pid_t nsi_fork_unnoticed(int cgroup);

/*
 * sigaction(2) with SIG_DFL, for such a child: the C library's takes a lock for SIGABRT (glibc 2.41, against
 * posix_spawn(3) in another thread), which the child may have inherited locked.
 */
int nsi_default_action(int sig);

/* Capability sets of the calling thread, bit N for capability N. */
int nsi_capset(uint64_t effective, uint64_t permitted, uint64_t inheritable);
int nsi_capget(uint64_t *ret_effective, uint64_t *ret_permitted, uint64_t *ret_inheritable);

/* A fresh anonymous session keyring: a join must not carry the caller's keys inside, keyctl(2). */
int nsi_new_session_keyring(void);

/* Put a filter of `n` instructions on the calling thread, seccomp(2). */
struct sock_filter;
int nsi_seccomp_load(const struct sock_filter *code, unsigned short n);

/*
 * Change the effective uid, real and saved ids kept, without giving up effective capabilities as
 * capabilities(7) has it: what is then created belongs to `uid`. -1 with errno; the uid may then be changed.
 */
int nsi_act_as(uid_t uid);
/* And back to the real or saved uid; the kernel gives root its effective capabilities again. */
int nsi_act_as_before(uid_t uid);

/*
 * Ids of the calling thread by raw system calls. glibc's wrappers signal every other thread, nptl(7), and
 * sshd must see exactly the calling thread changed.
 */
int nsi_setresuid(uid_t uid);
int nsi_setresgid(gid_t gid);
int nsi_setgroups(size_t n, const gid_t *gids);

#endif
