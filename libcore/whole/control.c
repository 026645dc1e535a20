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

/* What the lists of an answer hold is bounded by their sizes here, whatever its numbers say. */
static bool within_bounds(const struct nsi_reply *reply)
{
	const struct nsi_confinement *c = &reply->confine;

	return c->n_groups >= 0 && c->n_groups <= NSI_MAX_GROUPS && c->limits.n >= 0 &&
	       c->limits.n <= NSI_MAX_RLIMITS && c->ids.n_uids >= 0 && c->ids.n_uids <= NSI_MAX_IDMAP &&
	       c->ids.n_gids >= 0 && c->ids.n_gids <= NSI_MAX_IDMAP &&
	       c->filter.n[0] + c->filter.n[1] + c->filter.n[2] <= NSI_FILTER_MAX &&
	       memchr(c->working_dir, 0, sizeof(c->working_dir)) && memchr(reply->id, 0, sizeof(reply->id)) &&
	       reply->terminal < NSI_MAX_FDS - 1 && (!reply->env_len || !reply->env[reply->env_len - 1]);
}

int nsi_reply_check(struct nsi_reply *reply, ssize_t n, struct nsi_error *err)
{
	if (n < 0)
		return nsi_fail(err, (int)-n, "waiting for", "the container's supervisor", NULL);
	if (n == 0)
		return nsi_failf(
			err, ECONNRESET, "waiting for", "the container's supervisor", NULL, "it has ended");
	if (n < (ssize_t)NSI_REPLY_HEAD || reply->magic != NSI_CONTROL_MAGIC ||
		reply->env_len > NSI_ENV_BYTES || (size_t)n != NSI_REPLY_HEAD + reply->env_len ||
		!within_bounds(reply))
		return nsi_failf(err, EPROTO, "waiting for", "the container's supervisor", NULL,
			"its answer is of another version of nsinit");
	if (!reply->code)
		return 0;
	nsi_error_accept(&reply->err);
	if (err)
		*err = reply->err;
	/* Whoever answers is there: what has failed for it must not read as its end. */
	return nsi_supervisor_gone(-reply->err.code) ? -EREMOTEIO : -reply->err.code;
}

int nsi_control_answer(int sock, int timeout_ms, struct nsi_reply *ret, int fds[], struct nsi_error *err)
{
	int r = nsi_reply_check(ret, nsi_receive(sock, ret, sizeof(*ret), fds, timeout_ms), err);

	for (int i = 0; r < 0 && i < NSI_MAX_FDS; i++)
		if (fds[i] >= 0)
			close(nsi_take_fd(&fds[i]));
	return r;
}

int nsi_control_ask(int sock, const struct nsi_question *question, struct nsi_reply *ret, int fds[],
	struct nsi_error *err)
{
	struct nsi_request q = {.magic = NSI_CONTROL_MAGIC,
		.ask = question->ask,
		.uid = question->uid,
		.recorded = question->recorded,
		.origin = question->origin};
	cleanup_fd int self = question->leader < 0 ? nsi_pidfd_open(getpid()) : -1;
	int leader = question->leader < 0 ? self : question->leader;

	if (leader < 0)
		return nsi_fail(err, errno, "opening", "this process", NULL);
	int r = nsi_send(sock, &q, sizeof(q), &leader, 1);
	if (r < 0)
		return nsi_fail(err, -r, "asking", "the container's supervisor", NULL);
	return nsi_control_answer(sock, ANSWER_DEADLINE_MS, ret, fds, err);
}

char **nsi_reply_environment(struct nsi_reply *reply)
{
	char **list = calloc(NSI_SPEC_MAX_ENV + 1, sizeof(char *));
	size_t at = 0;

	for (size_t i = 0; list && i < NSI_SPEC_MAX_ENV && at < reply->env_len; i++) {
		list[i] = reply->env + at;
		at += strnlen(reply->env + at, reply->env_len - at) + 1;
	}
	return list;
}

static int address(const char *id, struct sockaddr_un *a)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	char root[64];
	int n = snprintf(a->sun_path, sizeof(a->sun_path), "%s/%s/control", nsi_run_root(root), id);
	return n < 0 || (size_t)n >= sizeof(a->sun_path) ? -ENAMETOOLONG : 0;
}

static int connect_and_ask(const char *id, enum nsi_ask ask, int *ret_sock, struct nsi_error *err)
{
	struct nsi_request q = {.magic = NSI_CONTROL_MAGIC, .ask = ask};
	int r = nsi_control_connect(id, ret_sock, err);

	if (r < 0)
		return r;
	r = nsi_send(*ret_sock, &q, sizeof(q), NULL, 0);
	return r < 0 ? nsi_fail(err, -r, "asking", "the container's supervisor", NULL) : 0;
}

int nsi_control_order(
	const char *id, enum nsi_ask ask, int timeout_ms, int *ret_status, struct nsi_error *err)
{
	cleanup_free struct nsi_reply *reply = malloc(sizeof(*reply));
	cleanup_fd int sock = -1;
	int fds[NSI_MAX_FDS];

	if (!reply)
		return nsi_fail(err, ENOMEM, "asking", "the container's supervisor", NULL);
	int r = connect_and_ask(id, ask, &sock, err);
	if (r == 0)
		r = nsi_control_answer(sock, timeout_ms, reply, fds, err);
	if (r == 0)
		*ret_status = reply->status;
	return r;
}

int nsi_control_status(const char *id, struct nsi_status *ret, struct nsi_error *err)
{
	cleanup_fd int sock = -1;
	int fds[NSI_MAX_FDS];
	int r = connect_and_ask(id, NSI_ASK_STATUS, &sock, err);

	if (r < 0)
		return r;
	ssize_t n = nsi_receive(sock, ret, sizeof(*ret), fds, ANSWER_DEADLINE_MS);
	if (n <= 0)
		return nsi_fail(
			err, n ? (int)-n : ECONNRESET, "waiting for", "the container's supervisor", NULL);
	if (n < (ssize_t)NSI_STATUS_HEAD || ret->magic != NSI_CONTROL_MAGIC || ret->n > NSI_TOLD_SESSIONS ||
		(size_t)n != NSI_STATUS_HEAD + ret->n * sizeof(ret->list[0]))
		return nsi_failf(err, EPROTO, "waiting for", "the container's supervisor", NULL,
			"its answer is of another version of nsinit");
	ret->not_kept[sizeof(ret->not_kept) - 1] = '\0';
	for (uint32_t i = 0; i < ret->n; i++) {
		ret->list[i].origin.service[sizeof(ret->list[i].origin.service) - 1] = '\0';
		ret->list[i].origin.from[sizeof(ret->list[i].origin.from) - 1] = '\0';
	}
	return 0;
}

void nsi_control_refuse(int sock, const struct nsi_error *why)
{
	struct nsi_reply reply; /* it takes no memory that could be lacking */

	memset(&reply, 0, NSI_REPLY_HEAD);
	reply.magic = NSI_CONTROL_MAGIC;
	reply.code = why->code;
	reply.err = *why;
	nsi_send(sock, &reply, NSI_REPLY_HEAD, NULL, 0);
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
