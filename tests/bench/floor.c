/*
 * The floor under every figure: what the kernel alone takes for a container of the seed's five namespaces.
 * clone3, the mounts that nsinit makes, pivot_root, exec; by the fewest system calls that do it, with every
 * path trusted, nothing confined and nothing recorded. Not a way to run anything but the benchmark.
 *
 *     floor ROOTFS COMMAND...
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { INERT = MS_NOSUID | MS_NODEV | MS_NOEXEC };

static void try(const char *what, long r)
{
	if (r >= 0)
		return;
	dprintf(2, "floor: %s: %s\n", what, strerror(errno));
	_exit(125);
}

static void loopback_up(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	try("socket", sock);
	try("lo", ioctl(sock, SIOCSIFFLAGS, &lo));
	close(sock);
}

static void filesystem(const char *type, const char *target, unsigned long flags, const char *options)
{
	mkdir(target, 0755);
	try(target, mount(type, target, type, flags, options));
}

/* Over itself or elsewhere; a bind takes its flags by a second call only. */
static void bind_over(const char *source, const char *target, unsigned long flags)
{
	if (mount(source, target, NULL, MS_BIND, NULL) < 0 && errno == ENOENT)
		return;
	try(target, mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | flags, NULL));
}

static void mask(const char *target)
{
	struct stat st;

	if (stat(target, &st) < 0)
		return;
	if (S_ISDIR(st.st_mode))
		filesystem("tmpfs", target, MS_RDONLY, "mode=0555,size=4k");
	else
		bind_over("/dev/null", target, MS_RDONLY);
}

static void devices(void)
{
	static const char *const names[] = {"null", "zero", "full", "random", "urandom", "tty"};
	char source[32];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(source, sizeof(source), "/dev/%s", names[i]);
		try(names[i], mknod(source + 1, S_IFREG | 0644, 0));
		bind_over(source, source + 1, MS_NOSUID | MS_NOEXEC);
	}
	try("link", symlink("/proc/self/fd", "dev/fd"));
	try("link", symlink("/proc/self/fd/0", "dev/stdin"));
	try("link", symlink("/proc/self/fd/1", "dev/stdout"));
	try("link", symlink("/proc/self/fd/2", "dev/stderr"));
	try("link", symlink("pts/ptmx", "dev/ptmx"));
}

static void hide(void)
{
	static const char *const readonly[] = {
		"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
	static const char *const masked[] = {"proc/acpi", "proc/asound", "proc/kcore", "proc/keys",
		"proc/latency_stats", "proc/timer_list", "proc/timer_stats", "proc/sched_debug", "proc/scsi",
		"sys/firmware"};

	bind_over("container.json", "container.json", MS_RDONLY);
	for (size_t i = 0; i < sizeof(readonly) / sizeof(readonly[0]); i++)
		bind_over(readonly[i], readonly[i], INERT | MS_RDONLY);
	for (size_t i = 0; i < sizeof(masked) / sizeof(masked[0]); i++)
		mask(masked[i]);
}

static void build(const char *rootfs)
{
	try("sethostname", sethostname("inside", 6));
	loopback_up();
	try("private", mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	try(rootfs, mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL));
	try(rootfs, mount(NULL, rootfs, NULL, MS_REMOUNT | MS_BIND | MS_NODEV, NULL));
	try(rootfs, chdir(rootfs));
	filesystem("proc", "proc", INERT, NULL);
	filesystem("sysfs", "sys", INERT | MS_RDONLY, NULL);
	filesystem("tmpfs", "dev", MS_NOSUID | MS_NODEV, "mode=0755,size=1m");
	filesystem("devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
	filesystem("tmpfs", "dev/shm", INERT, "mode=1777,size=64m");
	filesystem("mqueue", "dev/mqueue", INERT, NULL);
	devices();
	hide();
	try("pivot_root", syscall(SYS_pivot_root, ".", "."));
	try("umount", umount2(".", MNT_DETACH));
	try("chdir", chdir("/"));
}

int main(int argc, char **argv)
{
	static char search[] = "PATH=/bin:/usr/bin";
	char *const env[] = {search, NULL};
	struct clone_args args = {
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET,
		.exit_signal = SIGCHLD};
	int status = 0;

	if (argc < 3)
		return 125;
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	try("clone3", pid);
	if (pid == 0) {
		build(argv[1]);
		execve(argv[2], argv + 2, env);
		try(argv[2], -1);
	}
	try("wait", waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
