/* A command that was started for us: what we are given goes to it, and its end is ours. */
#include "../libcore/base/cleanup.h"
#include "../libcore/process/forward.h"
#include "shell.h"

#include <poll.h>
#include <string.h>
#include <sys/wait.h>

static void ended(struct loop *loop, int fd, void *data)
{
	(void)fd, (void)data;
	loop_stop(loop);
}

static int follow(struct loop *loop, struct relay *relay, struct nsi_process *p, int signals, bool tty)
{
	struct nsi_forward forward = {.relay = relay, .pidfd = p->pidfd};
	int status = 0;

	relay_started(relay);
	if (p->recorded)
		relay_recorded(relay);
	if (tty)
		relay_terminal(relay, nsi_take_fd(&p->pty));
	if (!nsi_forward_signals(loop, signals, &forward) || !loop_watch(loop, p->pidfd, POLLIN, ended, NULL))
		return -1;
	loop_run(loop);
	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return status;
}

int shell_run(shell_start_fn start, void *data, const bool terminal[3], struct nsi_exec *exec,
	struct nsi_error *err)
{
	enum relay_way ways[3];
	struct nsi_process p;
	int signals = nsi_block_signals(), status = -1;

	for (int fd = 0; fd < 3; fd++)
		ways[fd] = terminal[fd] ? RELAY_TERMINAL : RELAY_PASS;
	exec->tty = terminal[0] || terminal[1] || terminal[2];
	struct loop *loop = loop_new();
	struct relay *relay = loop ? relay_new(loop, ways) : NULL;
	if (!relay || signals < 0)
		return nsi_fail(err, ENOMEM, "preparing", "standard input and output", NULL), -1;
	memcpy(exec->stdio, relay_stdio(relay), sizeof(exec->stdio));
	if (start(data, exec, &p, err) == 0) {
		if (nsi_process_go(&p, err) == 0)
			status = follow(loop, relay, &p, signals, exec->tty);
		if (status < 0)
			nsi_process_discard(&p);
	}
	relay_finish(relay);
	loop_free(loop);
	close(signals);
	return status;
}
