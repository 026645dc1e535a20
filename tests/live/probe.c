/* Makes system calls that a container is to do without, and says of each how it ended: "name errno". */
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *name, long result)
{
	printf("%s %s\n", name, result < 0 ? strerrorname_np(errno) : "ok");
	fflush(stdout);
}

/* In a process of its own, so that one success does not change what comes next. */
static void call(const char *name, long number, long a, long b, long c, long d)
{
	pid_t pid = fork();

	if (pid == 0) {
		say(name, syscall(number, a, b, c, d, 0, 0));
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void clones(void)
{
	struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
	long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		_exit(0);
	say("clone", pid);
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		_exit(0);
	say("clone3", pid);
	while (waitpid(-1, NULL, 0) > 0)
		continue;
}

int main(void)
{
	call("unshare", SYS_unshare, CLONE_NEWUSER, 0, 0, 0);
	clones();
	call("mount", SYS_mount, (long)"none", (long)"/nowhere", (long)"tmpfs", 0);
	call("keyctl", SYS_keyctl, 0, -3, 0, 0); /* the session keyring's number */
	call("bpf", SYS_bpf, 0, 0, 0, 0);
	call("kexec_load", SYS_kexec_load, 0, 0, 0, 0);
	call("init_module", SYS_init_module, 0, 0, 0, 0);
	call("io_uring_setup", SYS_io_uring_setup, 0, 0, 0, 0);
	call("open_by_handle_at", SYS_open_by_handle_at, -1, 0, 0, 0);
	call("tiocsti", SYS_ioctl, 99, TIOCSTI, (long)"x", 0);
	call("tiocsti-64", SYS_ioctl, 99, (long)(0x100000000UL | TIOCSTI), (long)"x", 0);
	call("tioclinux", SYS_ioctl, 99, 0x541C, (long)"x", 0);
	call("alg", SYS_socket, 38, SOCK_SEQPACKET, 0, 0);
	call("newer", 4000, 0, 0, 0, 0);
	call("socket", SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0);
	return 0;
}
