#include "launch.h"

#include "../act/cgroup.h"
#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/io.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* pam_limits has already lowered this process's limits for one user; the container is not that user's alone.
 */
static void take_limits_of_init(void)
{
	for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
		struct rlimit limit;

		if (prlimit(1, resource, NULL, &limit) == 0)
			setrlimit(resource, &limit);
	}
}

/* In a copy of a process that may have threads: async-signal-safe calls only, signal-safety(7). */
_Noreturn static void become(const char *program, const char *verb, int sock, int cgroup)
{
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	char *const argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)verb, NULL};
	char *const env[] = {path, NULL};
	sigset_t none;

	setsid();
	if (nsi_fork_unnoticed(cgroup) != 0)
		_exit(0);
	for (int sig = 1; sig < NSIG; sig++)
		nsi_default_action(sig);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(022);
	/* su(1) has its caller's real uid and gid: who has the same uid could send signals. */
	if (nsi_setgroups(0, NULL) < 0 || nsi_setresgid(0) < 0 || nsi_setresuid(0) < 0)
		_exit(127);
	take_limits_of_init();
	/* pid 1 belongs to nobody's login; where the kernel forbids it, the first user's stays. */
	nsi_write_file("/proc/self/loginuid", "4294967295");
	nsi_write_file("/proc/self/oom_score_adj", "0");
	int null = open("/dev/null", O_RDWR);
	int kept = fcntl(sock, F_DUPFD, 10);
	if (null < 0 || kept < 0 || chdir("/") < 0)
		_exit(127);
	for (int fd = 0; fd < 3; fd++)
		if (dup2(null, fd) < 0)
			_exit(127);
	if (dup2(kept, 3) < 0 || nsi_close_range(4, ~0U, 0) < 0)
		_exit(127);
	execve(program, argv, env);
	_exit(127);
}

int nsi_launch(const char *program, const char *verb, int sock, struct nsi_error *err)
{
	cleanup_fd int cgroup = nsi_cgroup_lodging();
	sigset_t all, before;

	/* The copy must not run the caller's handlers, for a signal to the whole process group say. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid_t pid = nsi_fork_unnoticed(0);
	int code = errno;

	if (pid == 0)
		become(program, verb, sock, cgroup);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid < 0)
		return nsi_fail(err, code, "forking", program, NULL);
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		continue;
	return 0;
}
