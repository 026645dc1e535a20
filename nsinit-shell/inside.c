/* In the container: the user's real shell. */
#include "../libcore/base/cleanup.h"
#include "../libcore/base/str.h"
#include "../libcore/parse/login_shell.h"
#include "../libcore/process/forward.h"
#include "../libcore/process/join.h"
#include "shell.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_WORDS = 16 };

bool shell_is_inside(void)
{
	struct stat st;

	/* /dev is root's, here and on the host, where nobody makes this. */
	return lstat(NSI_SHELL_NOTE, &st) == 0 && S_ISREG(st.st_mode);
}

/* ------------------------------------------------------------------ a terminal of another devpts */

static int start(void *data, const struct nsi_exec *exec, struct nsi_process *ret, struct nsi_error *err)
{
	return nsi_start(*(int *)data, exec, ret, err);
}

/* Entered with the caller's terminal (su): that one means nothing here. Returns -1 where there is none. */
static int with_own_terminal(char **argv, char **env, struct nsi_error *err)
{
	struct nsi_exec exec = {.argv = argv, .env = env, .image = -1};
	struct stat pts, st;
	bool foreign[3], any = false;

	cleanup_fd int devpts = open("/dev/pts", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (devpts < 0 || fstat(devpts, &pts) < 0)
		return -1;
	for (int fd = 0; fd < 3; fd++) {
		foreign[fd] = isatty(fd) && fstat(fd, &st) == 0 && st.st_dev != pts.st_dev;
		any |= foreign[fd];
	}
	if (!any)
		return -1;
	exec.image = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	exec.umask = umask(0);
	umask(exec.umask);
	return shell_run(start, &devpts, foreign, &exec, err);
}

/* ------------------------------------------------------------------ what to run */

static int run_sftp(char **words, char **env)
{
	static const char *const places[] = {"/usr/lib/openssh/sftp-server",
		"/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server", "/usr/libexec/sftp-server",
		"/usr/lib/sftp-server", NULL};

	if (words[0][0] == '/')
		execve(words[0], words, env);
	for (size_t i = 0; places[i]; i++)
		execve(places[i], words, env);
	shell_refuse_sftp("this container has no sftp server; install openssh-sftp-server in it");
	fputs("nsinit-shell: this container has no sftp server; install openssh-sftp-server in it\n", stderr);
	return NSI_EXIT_NOT_FOUND;
}

/*
 * sshd gives each connection an agent socket of its own, whose name dies with it. A shell that outlives its
 * connection (tmux) is told a name that the next login makes good again.
 */
static char **with_stable_agent(char **env)
{
	const char *sock = env_get(env, "SSH_AUTH_SOCK");
	char path[64], fresh[96];
	static char variable[96];
	char *change[] = {variable, NULL};
	struct stat st;

	snprintf(path, sizeof(path), "/tmp/.ssh-agent-%u", (unsigned)getuid());
	snprintf(fresh, sizeof(fresh), "%s.%d", path, (int)getpid());
	if (!sock || strcmp(sock, path) == 0 || stat(sock, &st) < 0 || !S_ISSOCK(st.st_mode) ||
		st.st_uid != getuid())
		return env;
	/* In place of what stands there only if that is ours: /tmp is everybody's, and sticky. */
	if (symlink(sock, fresh) < 0)
		return env;
	if (rename(fresh, path) < 0) {
		unlink(fresh);
		return env;
	}
	snprintf(variable, sizeof(variable), "SSH_AUTH_SOCK=%s", path);
	char **with = env_merge(env, change, NULL);
	return with ? with : env;
}

static int read_note(char text[2 * PATH_MAX])
{
	cleanup_fd int fd = open(NSI_SHELL_NOTE, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, 2 * PATH_MAX - 1);

	text[n < 0 ? 0 : n] = '\0';
	return n <= 0 ? -1 : 0;
}

/* The first of the shells that exists. */
static int run_shell(bool login, char **argv, char **env)
{
	static char *no_env[] = {NULL};
	char note[2 * PATH_MAX], shell[PATH_MAX] = "shell", name[PATH_MAX + 2], variable[PATH_MAX + 8];
	const char *rest = note;
	int code = ENOENT;

	if (read_note(note) < 0)
		nsi_copy_array(note, "/bin/sh");
	while (nsi_next_shell(&rest, shell, sizeof(shell))) {
		char *change[] = {variable, NULL};
		const char *base = strrchr(shell, '/'); /* it is a path */

		snprintf(name, sizeof(name), "%s%s", login ? "-" : "", base + 1);
		snprintf(variable, sizeof(variable), "SHELL=%s", shell);
		char **with = env_merge(env, change, NULL);
		argv[0] = name;
		execve(shell, argv, with ? with : no_env);
		code = errno;
		free(with);
		if (code != ENOENT && code != ENOTDIR)
			break;
	}
	fprintf(stderr, "nsinit-shell: %s: %s\n", shell, strerrordesc_np(code));
	return code == ENOENT || code == ENOTDIR ? NSI_EXIT_NOT_FOUND : NSI_EXIT_NOT_EXECUTABLE;
}

static int run_command(bool login, char *command, char **argv, char **env)
{
	static char dash_c[] = "-c";
	char *copy = strdup(command), *words[MAX_WORDS], *with_c[4] = {argv[0], dash_c, command, NULL};

	if (copy && nsi_sftp_words(copy, words, MAX_WORDS))
		return run_sftp(words, env);
	free(copy);
	return run_shell(login, with_c, env);
}

int shell_inside(int argc, char **argv, char **env)
{
	bool login = argv[0][0] == '-';
	struct nsi_error err = {0};
	int status = with_own_terminal(argv, env, &err);

	if (status >= 0)
		return nsi_exit_status(status);
	env = with_stable_agent(env);
	char *original = (char *)(uintptr_t)env_get(env, "SSH_ORIGINAL_COMMAND");
	/* ForceCommand where this is the user's shell too: sshd runs the one by the other. */
	if (argc == 3 && strcmp(argv[1], "-c") == 0 && strcmp(argv[2], NSINIT_SHELL) == 0) {
		argc = 1;
		argv[1] = NULL;
		login = !original;
	}
	if (argc == 1 && original) {
		/* For this once: a nsinit-shell started from within is not meant. */
		env_remove(env, "SSH_ORIGINAL_COMMAND");
		return run_command(login, original, argv, env);
	}
	if (argc == 3 && strcmp(argv[1], "-c") == 0)
		return run_command(login, argv[2], argv, env);
	return run_shell(login, argv, env);
}
