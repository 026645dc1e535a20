#include "../libcore/base/compat.h"
#include "../libcore/base/log.h"
#include "../libcore/process/forward.h"
#include "shell.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

/* A caller may have closed some of 0, 1 and 2: what we open next must not take their places. */
static bool fill_stdio(void)
{
	for (;;) {
		int fd = open("/dev/null", O_RDWR | O_NOCTTY);

		if (fd > 2)
			return close(fd) == 0;
		if (fd < 0)
			return false;
	}
}

/* What a hostile caller may have left for us: timers that would kill us half-way, and a blocked mask. */
static void clear_inheritance(void)
{
	static const struct itimerval off;
	sigset_t none;

	setitimer(ITIMER_REAL, &off, NULL);
	setitimer(ITIMER_VIRTUAL, &off, NULL);
	setitimer(ITIMER_PROF, &off, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGHUP)
			signal(sig, SIG_DFL);
}

/* The whole chain to the log, one sentence to the user. */
static int refuse(const struct nsi_error *err)
{
	char text[2048];

	openlog("nsinit-shell", LOG_PID, LOG_AUTHPRIV);
	nsi_log("nsinit-shell", LOG_ERR, "reason=%s uid=%u refused: %s",
		err->reason[0] ? err->reason : "shell", (unsigned)getuid(),
		nsi_error_text(err, text, sizeof(text)));
	fprintf(stderr, "%s\n", nsi_error_sentence(err));
	return 254;
}

static int refuse_because(int code, const char *cause)
{
	struct nsi_error err = {0};

	nsi_failf(&err, code, "starting", "nsinit-shell", NULL, "%s", cause);
	return refuse(&err);
}

/* End as the session did: whoever waits for us (sshd) tells signals from statuses. */
static int end_as(int wait_status)
{
	static const struct rlimit none;
	sigset_t set;

	if (!WIFSIGNALED(wait_status))
		return WEXITSTATUS(wait_status);
	setrlimit(RLIMIT_CORE, &none);
	signal(WTERMSIG(wait_status), SIG_DFL);
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	raise(WTERMSIG(wait_status));
	return nsi_exit_status(wait_status);
}

int main(int argc, char **argv, char **env)
{
	struct nsi_error err = {0};

	if (getuid() != geteuid() || getgid() != getegid())
		return refuse_because(EPERM, "it must not be set-uid or set-gid");
	if (!fill_stdio())
		return refuse_because(errno, "/dev/null cannot be opened in place of a closed descriptor");
	if (argc < 1 || !argv[0] || !argv[0][0])
		return refuse_because(EINVAL, "it was called without its name");
	if (shell_is_inside())
		return shell_inside(argc, argv, env);
	prctl(PR_SET_DUMPABLE, 0);
	if (nsi_close_range(3, ~0U, 0) < 0)
		return refuse_because(errno, "descriptors of the caller's cannot be closed");
	if (getuid() == 0)
		return refuse_because(EPERM, "it is no shell for root");
	clear_inheritance();
	int status = shell_outside(argv, env, &err);
	return status < 0 ? refuse(&err) : end_as(status);
}
