#include "record.h"

#include "../act/front.h"
#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/io.h"
#include "../base/str.h"
#include "../process/launch.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { DEADLINE_MS = 10000 };

/* What uid 0 of the container is on the host. */
static uid_t root_of(const struct nsi_confinement *confine)
{
	for (int i = 0; (confine->namespaces & CLONE_NEWUSER) && i < confine->ids.n_uids; i++)
		if (confine->ids.uids[i].inside == 0 && confine->ids.uids[i].count > 0)
			return confine->ids.uids[i].outside;
	return 0;
}

void nsi_record_order(struct nsi_record_order *ret, const struct nsi_user *user,
	const struct nsi_decision *decision, const struct nsi_origin *origin, const struct nsi_reply *reply)
{
	memset(ret, 0, sizeof(*ret));
	ret->magic = NSI_RECORD_MAGIC;
	ret->recording = decision->recording;
	nsi_copy_array(ret->user, user->name);
	ret->uid = user->uid;
	ret->root = root_of(&reply->confine);
	ret->line = decision->line;
	nsi_copy_array(ret->container, reply->id);
	ret->origin = *origin;
}

static void take_command(struct nsi_record_order *order, char *const *argv)
{
	for (; *argv; argv++) {
		size_t len = strlen(*argv) + 1;

		if (len > sizeof(order->command) - order->command_len)
			return;
		memcpy(order->command + order->command_len, *argv, len);
		order->command_len += (uint32_t)len;
	}
}

void nsi_record_command_of(struct nsi_record_order *order, pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, order->command, sizeof(order->command) - 1);
	order->command_len = n > 0 ? (uint32_t)n : 0;
	if (n > 0 && order->command[n - 1])
		order->command_len++; /* it was cut: the rest of the array is zero */
}

int nsi_record_say(
	int sock, enum nsi_record_word word, const struct nsi_error *why, const int *fds, int n_fds)
{
	struct nsi_record_said said;

	memset(&said, 0, sizeof(said));
	said.magic = NSI_RECORD_MAGIC;
	said.word = word;
	if (why) {
		said.code = why->code;
		said.err = *why;
	}
	return nsi_send(sock, &said, sizeof(said), fds, n_fds);
}

static int accept_word(
	struct nsi_record_said *said, ssize_t n, enum nsi_record_word word, struct nsi_error *err)
{
	if (n <= 0)
		return nsi_failf(err, n ? (int)-n : ECONNRESET, "waiting for", "the recorder", NULL, "%s",
			n ? strerrordesc_np((int)-n) : "it has ended");
	if (n != (ssize_t)sizeof(*said) || said->magic != NSI_RECORD_MAGIC || said->word != word)
		return nsi_failf(err, EPROTO, "waiting for", "the recorder", NULL,
			"its answer is of another version of nsinit");
	if (!said->code)
		return 0;
	nsi_error_accept(&said->err);
	if (err)
		*err = said->err;
	return -said->err.code;
}

int nsi_record_hear(int sock, enum nsi_record_word word, int fds[], struct nsi_error *err)
{
	struct nsi_record_said said;
	int r = accept_word(&said, nsi_receive(sock, &said, sizeof(said), fds, DEADLINE_MS), word, err);

	for (int i = 0; r < 0 && i < NSI_MAX_FDS; i++)
		if (fds[i] >= 0)
			close(nsi_take_fd(&fds[i]));
	return r < 0 ? nsi_error_reason(err, "record") : 0;
}

int nsi_record_start(const struct nsi_record_order *order, int leader, int devpts, int *ret_sock,
	int ret_fds[], struct nsi_error *err)
{
	cleanup_fd int self = leader < 0 ? nsi_pidfd_open(getpid()) : -1;
	const int sent[] = {leader < 0 ? self : leader, devpts};
	int pair[2];

	if (sent[0] < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		nsi_fail(err, errno, "starting", "the recorder", NULL);
		return nsi_error_reason(err, "record");
	}
	int r = nsi_launch(NSINIT_PROGRAM, "record", pair[1], err);
	close(pair[1]);
	cleanup_fd int sock = pair[0];
	if (r == 0) {
		r = nsi_send(sock, order, sizeof(*order), sent, order->way == NSI_RECORD_NOTHING ? 1 : 2);
		if (r < 0)
			nsi_fail(err, -r, "starting", NSINIT_PROGRAM, "is it installed?");
	}
	if (r < 0)
		return nsi_error_reason(err, "record");
	r = nsi_record_hear(sock, NSI_RECORD_READY, ret_fds, err);
	if (r == 0)
		*ret_sock = nsi_take_fd(&sock);
	return r;
}

int nsi_record_pair(const struct nsi_login *who, const struct nsi_origin *origin, char *const *command,
	bool terminal, int leader, const struct nsi_reply *reply, int devpts, int ret_pair[],
	struct nsi_error *err)
{
	cleanup_free struct nsi_record_order *order = malloc(sizeof(*order));
	cleanup_fd int sock = -1;

	if (!order)
		return nsi_fail(err, ENOMEM, "recording", "the session", NULL);
	nsi_record_order(order, &who->user, &who->decision, origin, reply);
	if (command)
		take_command(order, command);
	order->way = terminal ? NSI_RECORD_PAIR : NSI_RECORD_NOTHING;
	return nsi_record_start(order, leader, devpts, &sock, ret_pair, err);
}

int nsi_record_terminals(int sock, int front, int terminals, struct nsi_error *err)
{
	cleanup_fd int view = -1, devpts = -1;
	int fds[NSI_MAX_FDS];
	int r = nsi_front_mount(front, terminals, &view, &devpts, err);

	if (r == 0) {
		r = nsi_record_say(sock, NSI_RECORD_MOUNTED, NULL, (int[]){view, devpts}, 2);
		if (r < 0)
			nsi_fail(err, -r, "telling", "the recorder", NULL);
	}
	return r < 0 ? nsi_error_reason(err, "record") : nsi_record_hear(sock, NSI_RECORD_READY, fds, err);
}

int nsi_record_join(int sock, struct nsi_error *err)
{
	cleanup_fd int self = nsi_pidfd_open(getpid());
	int fds[NSI_MAX_FDS];
	int r = self < 0 ? -errno : nsi_record_say(sock, NSI_RECORD_JOINS, NULL, &self, 1);

	if (r < 0) {
		nsi_fail(err, -r, "telling", "the recorder", NULL);
		return nsi_error_reason(err, "record");
	}
	return nsi_record_hear(sock, NSI_RECORD_READY, fds, err);
}

void nsi_record_close(int sock)
{
	nsi_record_say(sock, NSI_RECORD_CLOSE, NULL, NULL, 0);
}
