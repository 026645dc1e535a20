#include "control.h"

#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/io.h"
#include "state.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { ANSWER_DEADLINE_MS = 10000 };

bool nsi_supervisor_gone(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED || r == -ECONNRESET || r == -EPIPE || r == -ESHUTDOWN;
}

int nsi_control_tell(int sock, enum nsi_ask ask, bool with_pidfd)
{
	struct nsi_request q = {.magic = NSI_CONTROL_MAGIC, .ask = ask};
	cleanup_fd int self = with_pidfd ? nsi_pidfd_open(getpid()) : -1;

	if (with_pidfd && self < 0)
		return -errno;
	return nsi_send(sock, &q, sizeof(q), &self, with_pidfd ? 1 : 0);
}

static int check_answer(ssize_t n, const struct nsi_reply *ret, struct nsi_error *err)
{
	if (n < 0)
		return nsi_fail(err, (int)-n, "waiting for", "the container's supervisor", NULL);
	if (n == 0)
		return nsi_failf(
			err, ECONNRESET, "waiting for", "the container's supervisor", NULL, "it has ended");
	if (n < (ssize_t)NSI_REPLY_HEAD || ret->magic != NSI_CONTROL_MAGIC || ret->env_len > NSI_ENV_BYTES ||
		(size_t)n != NSI_REPLY_HEAD + ret->env_len)
		return nsi_failf(err, EPROTO, "waiting for", "the container's supervisor", NULL,
			"its answer is of another version of nsinit");
	if (ret->code) {
		if (err)
			*err = ret->err;
		return -ret->code;
	}
	return 0;
}

int nsi_control_answer(int sock, int timeout_ms, struct nsi_reply *ret, int fds[], struct nsi_error *err)
{
	int r = check_answer(nsi_receive(sock, ret, sizeof(*ret), fds, timeout_ms), ret, err);

	for (int i = 0; r < 0 && i < NSI_MAX_FDS; i++)
		if (fds[i] >= 0)
			close(nsi_take_fd(&fds[i]));
	return r;
}

int nsi_control_ask(int sock, const struct nsi_question *question, struct nsi_reply *ret, int fds[],
	struct nsi_error *err)
{
	struct nsi_request q = {.magic = NSI_CONTROL_MAGIC, .ask = question->ask, .uid = question->uid};
	cleanup_fd int self = question->leader < 0 ? nsi_pidfd_open(getpid()) : -1;
	int leader = question->leader < 0 ? self : question->leader;

	if (leader < 0)
		return nsi_fail(err, errno, "opening", "this process", NULL);
	int r = nsi_send(sock, &q, sizeof(q), &leader, 1);
	if (r < 0)
		return nsi_fail(err, -r, "asking", "the container's supervisor", NULL);
	return nsi_control_answer(sock, ANSWER_DEADLINE_MS, ret, fds, err);
}

static int address(const char *id, struct sockaddr_un *a)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	char root[64];
	int n = snprintf(a->sun_path, sizeof(a->sun_path), "%s/%s/control", nsi_run_root(root), id);
	return n < 0 || (size_t)n >= sizeof(a->sun_path) ? -ENAMETOOLONG : 0;
}

void nsi_control_refuse(int sock, const struct nsi_error *why)
{
	struct nsi_reply *reply = calloc(1, sizeof(*reply));

	if (!reply)
		return;
	reply->magic = NSI_CONTROL_MAGIC;
	reply->code = why->code;
	reply->err = *why;
	nsi_send(sock, reply, NSI_REPLY_HEAD, NULL, 0);
	free(reply);
}

int nsi_control_connect(const char *id, int *ret_sock, struct nsi_error *err)
{
	cleanup_fd int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct timeval deadline = {.tv_sec = ANSWER_DEADLINE_MS / 1000};
	struct sockaddr_un a;

	if (sock < 0 || address(id, &a) < 0)
		return nsi_fail(err, errno, "making", "the control socket", NULL);
	/* A stopped supervisor with a full backlog must not hold a login up. */
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline));
	if (connect(sock, (struct sockaddr *)&a, sizeof(a)) < 0)
		return nsi_fail(err, errno, "connecting to", "the container's supervisor", NULL);
	*ret_sock = nsi_take_fd(&sock);
	return 0;
}

int nsi_control_listen(const char *id, int *ret_sock, struct nsi_error *err)
{
	cleanup_fd int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un a;
	char dir[sizeof(a.sun_path)], root[64];
	mode_t mask;
	int r;

	snprintf(dir, sizeof(dir), "%s/%s", nsi_run_root(root), id);
	if (sock < 0 || address(id, &a) < 0)
		return nsi_fail(err, errno, "making", "the control socket", NULL);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return nsi_fail(err, errno, "making directory", dir, NULL);
	unlink(a.sun_path);
	mask = umask(0077);
	r = bind(sock, (struct sockaddr *)&a, sizeof(a));
	umask(mask);
	if (r < 0 || listen(sock, 128) < 0)
		return nsi_fail(err, errno, "listening on", a.sun_path, NULL);
	*ret_sock = nsi_take_fd(&sock);
	return 0;
}
