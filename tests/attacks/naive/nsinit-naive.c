/*
 * The negative control: what an `nsinit exec` looks like that is written without much thought. It believes
 * .nspid, as the ExecIn of 2014 did; all else it does with care, unless a switch has it leave that out.
 *
 *     nsinit-naive [--SWITCH...] [-u UID] [-w DIR] ROOT COMMAND...
 *
 * Spawns a container, or joins the one whose pid stands in ROOT/.nspid.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	CHROOT,
	DEV,
	FOLLOW_LINKS,
	FULL_ENV,
	KEEP_CAPS,
	KEEP_FDS,
	KEEP_GROUPS,
	KEEP_KEYS,
	LOCK,
	NSS,
	ONE_BY_ONE,
	ORPHAN,
	PTRACEABLE,
	SHARED,
	TRUST_PROC,
	WRITABLE_PROC,
	SWITCHES
};
static const char *const names[] = {"--chroot", "--dev", "--follow-links", "--full-env", "--keep-caps",
	"--keep-fds", "--keep-groups", "--keep-keys", "--lock", "--nss", "--one-by-one", "--orphan",
	"--ptraceable", "--shared", "--trust-proc", "--writable-proc"};
static int on[SWITCHES];
static const char *user, *dir;
static unsigned long long kept = 0xa80425fb; /* the 14 capabilities of container engines */

static int read_pid(const char *root)
{
	char text[64] = "", path[4096];

	snprintf(path, sizeof(path), "%s/.nspid", root);
	int fd = open(path, O_RDONLY | (on[FOLLOW_LINKS] ? 0 : O_NOFOLLOW | O_NONBLOCK));
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return (int)strtol(text, NULL, 10);
}

static void write_pid(const char *root, pid_t pid)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/.nspid", root);
	if (!on[FOLLOW_LINKS])
		unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | (on[FOLLOW_LINKS] ? O_TRUNC : O_EXCL), 0644);
	if (fd >= 0)
		dprintf(fd, "%d", pid);
	close(fd);
}

static void trust_proc(void)
{
	char line[256];
	FILE *status = fopen("/proc/1/status", "r");

	while (status && fgets(line, sizeof(line), status))
		if (strncmp(line, "CapBnd:", 7) == 0)
			kept = strtoull(line + 7, NULL, 16);
}

static void give_up_rights(void)
{
	uid_t uid = user ? (uid_t)atoi(user) : 0;

	for (int c = 0; !on[KEEP_CAPS] && c < 64; c++)
		if (!(kept >> c & 1))
			prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
	if (!on[KEEP_GROUPS]) {
		struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
		struct __user_cap_data_struct data[2];

		setgroups(0, NULL);
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
		syscall(SYS_capget, &head, data);
		data[0].inheritable = data[1].inheritable = 0;
		syscall(SYS_capset, &head, data);
	}
	if (!on[KEEP_KEYS])
		syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL);
	if (uid && (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0))
		err(125, "becoming %u", uid);
}

static void run(char **command)
{
	static char *plain[] = {"PATH=/bin:/usr/bin", NULL};

	if (dir && chdir(dir) < 0)
		err(125, "%s", dir);
	give_up_rights();
	if (!on[KEEP_FDS])
		close_range(3, ~0U, 0);
	if (!on[ORPHAN])
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	execvpe(command[0], command, on[FULL_ENV] ? environ : plain);
	err(errno == ENOENT ? 127 : 126, "%s", command[0]);
}

static int enter_one_by_one(int pid)
{
	static const char *const spaces[] = {"ipc", "uts", "net", "mnt", "pid"};
	char path[64];

	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, spaces[i]);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (setns(fd, 0) < 0)
			warn("%s", path); /* and on it goes */
		close(fd);
	}
	return 0;
}

static int enter(int pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -1 : setns(fd, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC);
}

static pid_t join(int pid, char **command)
{
	int host = open("/", O_RDONLY | O_DIRECTORY | (on[KEEP_FDS] ? 0 : O_CLOEXEC));

	if (!on[PTRACEABLE])
		prctl(PR_SET_DUMPABLE, 0);
	if ((on[ONE_BY_ONE] ? enter_one_by_one(pid) : enter(pid)) < 0)
		err(125, "joining %d", pid);
	if (on[TRUST_PROC])
		trust_proc();
	if (on[NSS])
		getpwnam("guest");
	pid_t child = fork();
	if (child == 0) {
		if (on[PTRACEABLE])
			usleep(30000); /* a slow machine */
		run(command);
	}
	close(host);
	return child;
}

static void make_dir(const char *name)
{
	struct stat st;

	mkdir(name, 0755);
	if (!on[FOLLOW_LINKS] && (lstat(name, &st) < 0 || !S_ISDIR(st.st_mode)))
		errx(125, "%s: no directory", name);
}

static void write_hostname(void)
{
	int fd = open(
		"etc/hostname", O_WRONLY | O_CREAT | O_TRUNC | (on[FOLLOW_LINKS] ? 0 : O_NOFOLLOW), 0644);

	if (fd >= 0)
		dprintf(fd, "inside\n");
	close(fd);
}

static void make_read_only(const char *path)
{
	mount(path, path, NULL, MS_BIND, NULL);
	mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
}

static void mount_all(const char *root)
{
	if (!on[SHARED])
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	if (mount(root, root, NULL, MS_BIND | MS_REC, NULL) < 0 || chdir(root) < 0)
		err(125, "%s", root);
	if (!on[DEV])
		mount(NULL, root, NULL, MS_REMOUNT | MS_BIND | MS_NODEV, NULL);
	make_dir("proc");
	make_dir("dev");
	make_dir("etc");
	write_hostname();
	mount("proc", "proc", "proc", 0, NULL);
	if (!on[WRITABLE_PROC]) {
		make_read_only("proc/sys");
		make_read_only("proc/sysrq-trigger");
	}
	mount("tmpfs", "dev", "tmpfs", 0, NULL);
	umask(0);
	mknod("dev/null", S_IFCHR | 0666, makedev(1, 3));
	mknod("dev/tty", S_IFCHR | 0666, makedev(5, 0));
	umask(022);
	if (on[CHROOT] ? chroot(".") < 0 : syscall(SYS_pivot_root, ".", ".") < 0)
		err(125, "changing the root directory");
	if (!on[CHROOT])
		umount2(".", MNT_DETACH);
	if (chdir("/") < 0)
		err(125, "/");
}

static pid_t spawn(const char *root, char **command)
{
	int go[2];

	if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC) < 0 || pipe2(go, O_CLOEXEC) < 0)
		err(125, "unshare");
	pid_t child = fork();
	if (child == 0) {
		char byte;

		close(go[1]);
		(void)!read(go[0], &byte, 1); /* .nspid has been written */
		sethostname("inside", 6);
		mount_all(root);
		run(command);
	}
	write_pid(root, child);
	close(go[1]);
	return child;
}

static void lock(const char *root)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/container.json", root);
	flock(open(path, O_RDONLY | O_CLOEXEC), LOCK_EX);
}

int main(int argc, char **argv)
{
	int i, status;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "-u") == 0)
			user = argv[++i];
		if (strcmp(argv[i], "-w") == 0)
			dir = argv[++i];
		for (int s = 0; s < SWITCHES; s++)
			on[s] |= strcmp(argv[i], names[s]) == 0;
	}
	if (argc - i < 2)
		errx(125, "usage: nsinit-naive [--SWITCH...] [-u UID] [-w DIR] ROOT COMMAND...");
	if (on[LOCK])
		lock(argv[i]);
	int pid = read_pid(argv[i]);
	pid_t child = pid > 0 && kill(pid, 0) == 0 ? join(pid, argv + i + 1) : spawn(argv[i], argv + i + 1);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
