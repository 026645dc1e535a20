#include "ensure.h"

#include "../base/cleanup.h"
#include "../base/io.h"
#include "../process/launch.h"
#include "rootfs.h"
#include "state.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum { ENDING_DEADLINE_MS = 10000 };

int nsi_make_room(const char *id, int rootfd, struct nsi_error *err)
{
	struct nsi_state state;

	if (nsi_state_read(id, &state, NULL) < 0) {
		nsi_state_sweep(id, rootfd, NULL);
		return 0;
	}
	cleanup_fd int supervisor = nsi_open_process(state.supervisor, state.supervisor_start);
	if (supervisor >= 0) {
		struct pollfd ended = {.fd = supervisor, .events = POLLIN};

		if (poll(&ended, 1, ENDING_DEADLINE_MS) <= 0)
			return nsi_failf(err, EBUSY, "waiting for", "the container's ending supervisor",
				"kill it: its pid is in the log", "pid %d does not end",
				(int)state.supervisor);
	}
	nsi_state_sweep(id, rootfd, &state);
	return 0;
}

/* Start a supervisor; its first connection is the one it is started with. */
static int start(const struct nsi_login *who, const struct nsi_question *q, int rootfd, int lock,
	int *ret_sock, struct nsi_reply *reply, int fds[], struct nsi_error *err)
{
	struct nsi_launch_order order;
	int pair[2], r;

	/* With what is between the members: nothing of the caller's memory goes along. */
	memset(&order, 0, sizeof(order));
	order.magic = NSI_CONTROL_MAGIC;
	order.who = *who;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return nsi_fail(err, errno, "making", "a socket pair", NULL);
	r = nsi_launch(NSINIT_PROGRAM, "supervise", pair[1], err);
	close(pair[1]);
	cleanup_fd int sock = pair[0];
	if (r == 0) {
		r = nsi_send(sock, &order, sizeof(order), (int[]){rootfd, lock}, 2);
		if (r < 0)
			nsi_fail(err, -r, "starting", NSINIT_PROGRAM, "is it installed?");
	}
	if (r == 0)
		r = nsi_control_ask(sock, q, reply, fds, err);
	if (r == 0)
		*ret_sock = nsi_take_fd(&sock);
	return r;
}

static int ask_live(const char *id, const struct nsi_question *q, int *ret_sock, struct nsi_reply *reply,
	int fds[], struct nsi_error *err)
{
	cleanup_fd int sock = -1;
	int r = nsi_control_connect(id, &sock, err);

	if (r == 0)
		r = nsi_control_ask(sock, q, reply, fds, err);
	if (r == 0)
		*ret_sock = nsi_take_fd(&sock);
	return r;
}

/* Fail with the supervisor's own words, or find that it is gone and start another. */
int nsi_ensure(const struct nsi_login *who, const struct nsi_question *q, int *ret_sock,
	struct nsi_reply *reply, int fds[], struct nsi_error *err)
{
	cleanup_fd int rootfd = -1, lock = -1;
	char id[NSI_ID_SIZE];
	int r = nsi_run_dir(err);

	if (r == 0)
		r = nsi_rootfs_open(&who->decision, &rootfd, err);
	if (r == 0)
		r = nsi_container_id(rootfd, id, err);
	if (r == 0)
		r = nsi_lock(id, NSI_LOCK_DEADLINE_MS, &lock, err);
	if (r < 0)
		return r;
	r = ask_live(id, q, ret_sock, reply, fds, err);
	if (!nsi_supervisor_gone(r))
		return r;
	r = nsi_make_room(id, rootfd, err);
	return r < 0 ? r : start(who, q, rootfd, lock, ret_sock, reply, fds, err);
}
