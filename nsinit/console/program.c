#include "program.h"

#include "../../libcore/act/confine.h"
#include "../../libcore/act/loop.h"
#include "../../libcore/act/mount.h"
#include "../../libcore/act/ns.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { TEXT_MAX = 1024 * 1024 };

static const char *const directories[] = {
	"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"};

/* Not by PATH: that of sudo's caller is not root's. */
static bool find(const char *name, char *path, size_t size)
{
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		snprintf(path, size, "%s/%s", directories[i], name);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

/* What unpacking takes of root's rights. No device nodes: what has any is no image. */
static void seclude(int work)
{
	static const struct nsi_clone how = {.userns = -1, .attributes = MOUNT_ATTR_NODEV, .single = true};
	static struct nsi_confinement c;
	struct nsi_error err = {0};
	char text[2048];
	int tree = -1;

	c.capabilities = UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE |
			 UINT64_C(1) << CAP_FOWNER | UINT64_C(1) << CAP_FSETID | UINT64_C(1) << CAP_SETFCAP;
	/* The copy first: a descriptor's mount can be copied in its own namespace only. */
	int r = nsi_mount_clone(work, "the directory", &how, &tree, &err);
	if (r == 0)
		r = nsi_own_nothing(&err);
	if (r == 0)
		r = nsi_mount_workshop(tree, &err);
	if (r == 0)
		r = nsi_confine_shared(&c, &err);
	if (r == 0)
		return;
	fprintf(stderr, "nsinit: %s\n", nsi_error_text(&err, text, sizeof(text)));
	_exit(127);
}

_Noreturn static void become(
	const char *path, char *const argv[], const struct program_how *how, int in, int out)
{
	static char search[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	static char locale[] = "LC_ALL=C", pager[] = "SYSTEMD_PAGER=", home[] = "HOME=/root";
	char *const env[] = {search, locale, pager, home, NULL};

	signal(SIGPIPE, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	umask(022);
	if (how->workshop > 0)
		seclude(how->workshop);
	dup2(in, 0);
	if (how->read)
		dup2(out, 1);
	if (how->errors)
		dup2(out, 2);
	execve(path, argv, env);
	_exit(127);
}

static int open_input(const struct program_how *how, int in[2])
{
	if (how->write)
		return pipe2(in, O_CLOEXEC);
	in[0] = how->input > 0 ? fcntl(how->input, F_DUPFD_CLOEXEC, 3)
			       : open("/dev/null", O_RDONLY | O_CLOEXEC);
	return in[0] < 0 ? -1 : 0;
}

int program_start(
	char *const argv[], const struct program_how *how, struct program *ret, struct nsi_error *err)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1};
	char path[256];

	if (!find(argv[0], path, sizeof(path)))
		return nsi_failf(err, ENOENT, "starting", argv[0], "install it", "it is not on this host");
	if (open_input(how, in) < 0)
		return nsi_fail(err, errno, "starting", path, NULL);
	cleanup_fd int theirs = in[0], ours = in[1];
	if (how->read && pipe2(out, O_CLOEXEC) < 0)
		return nsi_fail(err, errno, "starting", path, NULL);
	cleanup_fd int written = out[1], read_end = out[0];
	fflush(stdout);
	pid_t pid = fork();
	if (pid < 0)
		return nsi_fail(err, errno, "starting", path, NULL);
	if (pid == 0)
		become(path, argv, how, theirs, written);
	*ret = (struct program){.pid = pid, .in = nsi_take_fd(&ours), .out = nsi_take_fd(&read_end)};
	return 0;
}

int program_wait(struct program *p)
{
	int status = 0;

	if (p->in >= 0)
		close(nsi_take_fd(&p->in));
	if (p->out >= 0)
		close(nsi_take_fd(&p->out));
	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int program_read(char *const argv[], int timeout_ms, char **ret_text, int *ret_status, struct nsi_error *err)
{
	cleanup_free char *text = malloc(TEXT_MAX + 1);
	long long end = loop_now() + timeout_ms;
	struct program p = {.pid = -1, .in = -1, .out = -1};
	size_t len = 0;

	if (!text)
		return nsi_fail(err, ENOMEM, "starting", argv[0], NULL);
	int r = program_start(argv, &(struct program_how){.read = true, .errors = true}, &p, err);
	if (r < 0)
		return r;
	while (len < TEXT_MAX) {
		struct pollfd ready = {.fd = p.out, .events = POLLIN};
		long long left = end - loop_now();
		ssize_t n = -1;

		if (left > 0 && poll(&ready, 1, (int)left) > 0)
			n = read(p.out, text + len, TEXT_MAX - len);
		if (n <= 0) {
			if (n < 0)
				kill(p.pid, SIGKILL);
			break;
		}
		len += (size_t)n;
	}
	text[len] = '\0';
	*ret_status = program_wait(&p);
	*ret_text = text;
	text = NULL;
	return 0;
}
