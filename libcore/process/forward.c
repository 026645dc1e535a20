#include "forward.h"

#include "../base/compat.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

int nsi_block_signals(void)
{
	static const int forwarded[] = {
		SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT, SIGWINCH};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		sigaddset(&set, forwarded[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTTOU, SIG_IGN); /* setting the terminal from the background must not stop us */
	signal(SIGCHLD, SIG_DFL); /* ignored, it would lose us the command's status */
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void on_signal(struct loop *loop, int fd, void *data)
{
	const struct nsi_forward *to = data;
	struct signalfd_siginfo info;

	(void)loop;
	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH)
		return relay_resize(to->relay);
	if (info.ssi_signo == SIGCONT)
		relay_continued(to->relay);
	nsi_pidfd_send_signal(to->pidfd, (int)info.ssi_signo);
	if (info.ssi_signo == SIGHUP)
		relay_hangup(to->relay);
}

bool nsi_forward_signals(struct loop *loop, int signals, struct nsi_forward *to)
{
	return loop_watch(loop, signals, POLLIN, on_signal, to);
}

int nsi_exit_status(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}
