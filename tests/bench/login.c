/*
 * A login without the ssh around it: the PAM calls that sshd makes for one, in their order and processes,
 * each timed. The monitor: setcred, open_session, and in the end close_session; its child, as root with the
 * user's groups: setcred once more, where the join happens, then it becomes the user and ends.
 *
 *     login CONFDIR SERVICE USER TIMES [PAUSE-MS]
 *
 * CONFDIR has the service's file, pam_start_confdir(3). Prints a line of microseconds for each login:
 * open_session with the first setcred, setcred in the child, close_session, and all of it with the fork. Ends
 * at what fails.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int say(int n, const struct pam_message **messages, struct pam_response **ret, void *data)
{
	(void)data;
	for (int i = 0; i < n; i++)
		fprintf(stderr, "login: %s\n", messages[i]->msg);
	*ret = calloc((size_t)n, sizeof(**ret));
	return *ret ? PAM_SUCCESS : PAM_BUF_ERR;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void need(pam_handle_t *pamh, const char *what, int r)
{
	if (r == PAM_SUCCESS)
		return;
	fprintf(stderr, "login: %s: %s\n", what, pam_strerror(pamh, r));
	_exit(1);
}

/* sshd's child. */
static void become(pam_handle_t *pamh, const struct passwd *pw, double *ret_took)
{
	if (setgid(pw->pw_gid) < 0 || initgroups(pw->pw_name, pw->pw_gid) < 0)
		_exit(2);
	double start = now();
	need(pamh, "setcred in the child", pam_setcred(pamh, PAM_REINITIALIZE_CRED));
	*ret_took = now() - start;
	if (setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
		setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		_exit(3);
	_exit(0);
}

static void login(const char *confdir, const char *service, const struct passwd *pw, double *shared)
{
	const struct pam_conv conversation = {say, NULL};
	pam_handle_t *pamh = NULL;
	int status = -1;

	need(NULL, "start", pam_start_confdir(service, pw->pw_name, &conversation, confdir, &pamh));
	need(pamh, "terminal", pam_set_item(pamh, PAM_TTY, "ssh"));
	double start = now();
	need(pamh, "setcred", pam_setcred(pamh, PAM_ESTABLISH_CRED));
	double loaded = now();
	need(pamh, "open_session", pam_open_session(pamh, 0));
	double opened = now();
	pid_t pid = fork();
	if (pid == 0)
		become(pamh, pw, shared);
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0) {
		fprintf(stderr, "login: the child: %s, status %x\n", pid < 0 ? strerror(errno) : "failed",
			(unsigned)status);
		_exit(1);
	}
	double joined = now();
	need(pamh, "close_session", pam_close_session(pamh, 0));
	double end = now();
	printf("%.1f %.1f %.1f %.1f %.1f\n", loaded - start, opened - loaded, *shared, end - joined,
		end - start);
	pam_end(pamh, PAM_SUCCESS);
}

int main(int argc, char **argv)
{
	const struct passwd *pw = argc >= 5 ? getpwnam(argv[3]) : NULL;
	double *shared =
		mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (!pw || shared == MAP_FAILED) {
		fputs("usage: login CONFDIR SERVICE USER TIMES [PAUSE-MS]\n", stderr);
		return 2;
	}
	for (int i = 0; i < atoi(argv[4]); i++) {
		login(argv[1], argv[2], pw, shared);
		fflush(stdout);
		if (argc > 5)
			usleep((useconds_t)atoi(argv[5]) * 1000);
	}
	return 0;
}
