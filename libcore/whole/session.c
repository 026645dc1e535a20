/* The public functions of a login: have the container live, and be counted in it. */
#include "../act/confine.h"
#include "../act/mount.h"
#include "../act/ns.h"
#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/io.h"
#include "../process/launch.h"
#include "control.h"
#include "ensure.h"
#include "state.h"

#include <string.h>
#include <sys/socket.h>

struct nsi_session {
	int sock, pid1, terminals;
	int old_mounts; /* the mount namespace to return to, or -1 */
	struct nsi_confinement confine;
	size_t env_len;
	char env[NSI_ENV_BYTES];
};

static int ask_login(int sock, const struct nsi_user *user, struct nsi_session *s, struct nsi_error *err)
{
	cleanup_free struct nsi_reply *reply = malloc(sizeof(*reply));
	int fds[NSI_MAX_FDS];
	int r;

	if (!reply)
		return nsi_fail(err, ENOMEM, "opening", "a session", NULL);
	r = nsi_control_ask(sock, NSI_ASK_LOGIN, user->uid, reply, fds, err);
	if (r < 0)
		return r;
	s->pid1 = fds[NSI_FD_PID1];
	s->terminals = fds[NSI_FD_TERMINALS];
	if (fds[NSI_FD_DEVPTS] >= 0)
		close(fds[NSI_FD_DEVPTS]);
	s->confine = reply->confine;
	s->env_len = reply->env_len;
	memcpy(s->env, reply->env, reply->env_len);
	return 0;
}

/* Start a supervisor; its first connection is the one it is started with. */
static int start(const struct nsi_user *user, const struct nsi_decision *decision, int rootfd, int lock,
	struct nsi_session *s, struct nsi_error *err)
{
	struct nsi_launch_order order = {
		.magic = NSI_CONTROL_MAGIC, .who = {.user = *user, .decision = *decision}};
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return nsi_fail(err, errno, "making", "a socket pair", NULL);
	r = nsi_launch(NSINIT_PROGRAM, pair[1], err);
	close(pair[1]);
	cleanup_fd int sock = pair[0];
	if (r == 0) {
		r = nsi_send(sock, &order, sizeof(order), (int[]){rootfd, lock}, 2);
		if (r < 0)
			nsi_fail(err, -r, "starting", NSINIT_PROGRAM, "is it installed?");
	}
	if (r == 0)
		r = ask_login(sock, user, s, err);
	if (r == 0)
		s->sock = nsi_take_fd(&sock);
	return r;
}

static int join_live(
	const char *id, const struct nsi_user *user, struct nsi_session *s, struct nsi_error *err)
{
	cleanup_fd int sock = -1;
	int r = nsi_control_connect(id, &sock, err);

	if (r == 0)
		r = ask_login(sock, user, s, err);
	if (r == 0)
		s->sock = nsi_take_fd(&sock);
	return r;
}

/* Fail with the supervisor's own words, or find that it is gone and start another. */
static int ensure(const struct nsi_user *user, const struct nsi_decision *decision, struct nsi_session *s,
	struct nsi_error *err)
{
	cleanup_fd int rootfd = -1, lock = -1;
	char id[NSI_ID_SIZE];
	int r = nsi_rootfs_open(decision->rootfs, &rootfd, err);

	if (r == 0)
		r = nsi_container_id(rootfd, id, err);
	if (r == 0)
		r = nsi_run_dir(err);
	if (r == 0)
		r = nsi_lock(id, NSI_LOCK_DEADLINE_MS, &lock, err);
	if (r < 0)
		return r;
	r = join_live(id, user, s, err);
	if (!nsi_supervisor_gone(r))
		return r;
	r = nsi_make_room(id, rootfd, err);
	return r < 0 ? r : start(user, decision, rootfd, lock, s, err);
}

int nsi_session_open(const struct nsi_user *user, const struct nsi_decision *decision,
	struct nsi_session **ret_session, struct nsi_error *err)
{
	struct nsi_session *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return nsi_fail(err, ENOMEM, "opening", "a session", NULL);
	s->sock = s->pid1 = s->terminals = s->old_mounts = -1;
	r = ensure(user, decision, s, err);
	if (r < 0) {
		if (err && !err->reason[0])
			nsi_error_reason(err, "session");
		nsi_session_free(s);
		return r;
	}
	*ret_session = s;
	return 0;
}

int nsi_session_terminal(struct nsi_session *s, struct nsi_error *err)
{
	int r = nsi_private_mounts(&s->old_mounts, err);

	if (r == 0)
		r = nsi_mount_terminals(s->terminals, err);
	if (r < 0)
		return nsi_error_reason(err, "terminal");
	close(nsi_take_fd(&s->terminals));
	return 0;
}

int nsi_session_join(struct nsi_session *s, struct nsi_error *err)
{
	int r = nsi_control_tell(s->sock, NSI_ASK_CHILD, true);

	if (r < 0)
		r = nsi_fail(err, -r, "telling", "the container's supervisor", "it has ended");
	if (r == 0)
		r = nsi_filter_groups(&s->confine, err);
	if (r == 0)
		r = nsi_enter(s->pid1, s->confine.namespaces, err);
	if (r == 0)
		r = nsi_confine_shared(&s->confine, err);
	return r < 0 ? nsi_error_reason(err, "join") : 0;
}

const char *nsi_session_env(const struct nsi_session *s, size_t i)
{
	size_t at = 0;

	while (i-- > 0 && at < s->env_len)
		at += strnlen(s->env + at, s->env_len - at) + 1;
	return at < s->env_len ? s->env + at : NULL;
}

void nsi_session_close(struct nsi_session *s)
{
	if (!s)
		return;
	if (s->old_mounts >= 0)
		nsi_leave(s->old_mounts);
	if (s->sock >= 0)
		nsi_control_tell(s->sock, NSI_ASK_CLOSE, false);
	nsi_session_free(s);
}

void nsi_session_free(struct nsi_session *s)
{
	int *fds[4];

	if (!s)
		return;
	fds[0] = &s->sock;
	fds[1] = &s->pid1;
	fds[2] = &s->terminals;
	fds[3] = &s->old_mounts;
	for (int i = 0; i < 4; i++)
		if (*fds[i] >= 0)
			close(*fds[i]);
	free(s);
}
