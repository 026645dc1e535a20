#include "exec.h"

#include "../act/proc.h"
#include "../base/cleanup.h"
#include "../base/compat.h"
#include "child.h"
#include "pasta.h"

#include <poll.h>
#include <sys/wait.h>

/* It was cloned with CLONE_PARENT, by a process of ours: nobody else's can say that it is the one. */
static int take_child(struct nsi_process *p, int pidfd, struct nsi_error *err)
{
	siginfo_t info;

	if (pidfd < 0 || nsi_pidfd_number(pidfd, &p->pid) < 0 ||
		waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return nsi_failf(err, EPROTO, "waiting for", "the container's process", NULL,
			"what it says is started is no child of this process");
	p->pidfd = pidfd;
	return 0;
}

static bool has_more(int sock)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

/*
 * STARTED comes from the middle process, which has ended, and READY from the new one: in either order.
 * Without STARTED nobody knows the new one; it ends when it cannot hear from us.
 */
int nsi_process_ready(struct nsi_process *p, struct nsi_error *err)
{
	bool started = false, ready = false;
	enum nsi_sync kind;
	int fds[2];

	while (!started || !ready) {
		int r = nsi_sync_receive(p->sync, &kind, fds, 2, err);

		if (r < 0)
			return r;
		if (r == 0)
			return nsi_failf(err, EPIPE, "waiting for", "the container's process", NULL,
				"it ended without a word");
		if (kind == NSI_SYNC_STARTED && !started) {
			started = true;
			p->pty = fds[1];
			r = take_child(p, fds[0], err);
			if (r == 0)
				continue;
			if (fds[0] >= 0)
				close(fds[0]);
			return r;
		}
		for (int i = 0; i < 2; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		if (kind != NSI_SYNC_READY || ready || (!started && !has_more(p->sync)))
			return nsi_failf(err, EPROTO, "waiting for", "the container's process", NULL,
				"unexpected record");
		ready = true;
	}
	return 0;
}

int nsi_process_go(struct nsi_process *p, struct nsi_error *err)
{
	enum nsi_sync kind;
	int r = nsi_sync_send(p->sync, NSI_SYNC_GO, NULL, 0);

	if (r < 0)
		return nsi_fail(err, -r, "starting", "the command", NULL);
	/* The socket is close-on-exec: its end says that the program runs. */
	r = nsi_sync_receive(p->sync, &kind, NULL, 0, err);
	close(nsi_take_fd(&p->sync));
	return r > 0 ? nsi_fail(err, EPROTO, "starting", "the command", NULL) : r;
}

void nsi_process_discard(struct nsi_process *p)
{
	int *const fds[] = {&p->sync, &p->pty, &p->devpts, &p->pidfd};

	if (p->pidfd >= 0) {
		nsi_pidfd_send_signal(p->pidfd, SIGKILL);
		while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (*fds[i] >= 0)
			close(nsi_take_fd(fds[i]));
	nsi_pasta_end(&p->pasta);
}
