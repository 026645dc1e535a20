#include "exec.h"

#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/io.h"
#include "child.h"

#include <sys/wait.h>

/* Whoever is root inside sees the process before it executes, and could stop it: nobody waits for that. */
enum { GO_DEADLINE_MS = 10000 };

int nsi_process_go(struct nsi_process *p, struct nsi_error *err)
{
	struct nsi_sync_record record;
	int none[NSI_MAX_FDS];
	ssize_t n;
	int r = nsi_sync_send(p->sync, NSI_SYNC_GO, 0, NULL, 0);

	if (r < 0)
		return nsi_fail(err, -r, "starting", "the command", NULL);
	/* The socket is close-on-exec: its end says that the program runs. */
	n = nsi_receive(p->sync, &record, sizeof(record), none, GO_DEADLINE_MS);
	close(nsi_take_fd(&p->sync));
	if (n == 0)
		return 0;
	if (n == (ssize_t)sizeof(record) && record.kind == NSI_SYNC_ERROR) {
		if (err)
			*err = record.err;
		return -record.err.code;
	}
	return nsi_fail(err, n < 0 ? (int)-n : EPROTO, "starting", "the command", NULL);
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
}
