/* The public functions of a login: have the container live, and be counted in it. */
#include "../act/cgroup.h"
#include "../act/confine.h"
#include "../act/limits.h"
#include "../act/mount.h"
#include "../act/ns.h"
#include "../act/nss.h"
#include "../act/seccomp.h"
#include "../act/tty.h"
#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/io.h"
#include "../base/str.h"
#include "control.h"
#include "ensure.h"
#include "record.h"

#include <limits.h>
#include <string.h>
#include <sys/socket.h>

struct nsi_session {
	int sock, pid1, terminals;
	int cgroup;                     /* its directory, or -1 */
	struct nsi_record_order *order; /* NULL: it is not recorded */
	int devpts, recorder;           /* only where it is; or -1 */
	bool relay;                     /* the terminals stay the host's */
	struct nsi_mounts_before mounts;
	struct nsi_confinement confine;
	char container[NSI_ID_SIZE];
	size_t env_len;
	char env[NSI_ENV_BYTES];
};

static void take_reply(struct nsi_session *s, const struct nsi_reply *reply, const int fds[])
{
	s->pid1 = fds[NSI_FD_PID1];
	s->terminals = fds[NSI_FD_TERMINALS];
	if (reply->cgroup > 0 && reply->cgroup < NSI_MAX_FDS)
		s->cgroup = fds[reply->cgroup];
	s->devpts = fds[NSI_FD_DEVPTS];
	s->confine = reply->confine;
	nsi_copy_array(s->container, reply->id);
	s->env_len = reply->env_len;
	memcpy(s->env, reply->env, reply->env_len);
}

/* What the recorder is to be told, later: it is started where the session's way in is known. */
static int keep_order(struct nsi_session *s, const struct nsi_login *who, const struct nsi_origin *origin,
	const struct nsi_reply *reply, struct nsi_error *err)
{
	if (!who->decision.recording.tty) {
		if (s->devpts >= 0)
			close(nsi_take_fd(&s->devpts));
		return 0;
	}
	s->order = malloc(sizeof(*s->order));
	if (!s->order)
		return nsi_fail(err, ENOMEM, "opening", "a session", NULL);
	nsi_record_order(s->order, &who->user, &who->decision, origin, reply);
	return 0;
}

int nsi_session_open(const struct nsi_user *user, const struct nsi_decision *decision,
	const struct nsi_origin *origin, struct nsi_session **ret_session, struct nsi_error *err)
{
	struct nsi_login who;
	struct nsi_question q = {.ask = NSI_ASK_LOGIN,
		.uid = user->uid,
		.leader = -1,
		.recorded = decision->recording.tty,
		.origin = *origin};
	cleanup_free struct nsi_reply *reply = malloc(sizeof(*reply));
	struct nsi_session *s = calloc(1, sizeof(*s));
	int fds[NSI_MAX_FDS];
	int r;

	if (!s || !reply) {
		free(s);
		return nsi_fail(err, ENOMEM, "opening", "a session", NULL);
	}
	/* With what is between the members: it is sent. */
	memset(&who, 0, sizeof(who));
	who.user = *user;
	who.decision = *decision;
	s->sock = s->pid1 = s->terminals = s->cgroup = s->devpts = s->recorder = -1;
	s->mounts = (struct nsi_mounts_before){-1, -1, -1};
	s->relay = decision->tty == NSI_TTY_RELAY;
	r = nsi_ensure(&who, &q, &s->sock, reply, fds, err);
	if (r == 0) {
		take_reply(s, reply, fds);
		r = keep_order(s, &who, origin, reply, err);
	}
	if (r < 0) {
		if (err && !err->reason[0])
			nsi_error_reason(err, "session");
		nsi_session_free(s);
		return r;
	}
	*ret_session = s;
	return 0;
}

/* Started before anything of this process is changed: it is the host's. */
static int start_recorder(
	struct nsi_session *s, enum nsi_record_way way, int *ret_front, struct nsi_error *err)
{
	int fds[NSI_MAX_FDS];

	s->order->way = way;
	int r = nsi_record_start(s->order, -1, s->devpts, &s->recorder, fds, err);
	if (r == 0 && way == NSI_RECORD_FRONT)
		*ret_front = fds[0];
	return r;
}

int nsi_session_terminal(struct nsi_session *s, struct nsi_error *err)
{
	cleanup_fd int front = -1;
	int r = 0;

	if (s->relay && !s->order)
		return 0;
	if (s->order && (r = start_recorder(s, NSI_RECORD_FRONT, &front, err)) < 0)
		return r;
	r = nsi_private_mounts(&s->mounts, err);
	if (r == 0 && s->order) {
		r = nsi_record_terminals(s->recorder, front, s->terminals, err);
		if (r < 0)
			return r;
	} else if (r == 0) {
		r = nsi_mount_terminals(s->terminals, err);
	}
	if (r < 0)
		return nsi_error_reason(err, "terminal");
	close(nsi_take_fd(&s->terminals));
	return 0;
}

/* Whoever holds the directory can move any process there: it is gone before the user's first one runs. */
static int move_to_cgroup(struct nsi_session *s, struct nsi_error *err)
{
	int r = s->cgroup < 0 ? 0 : nsi_cgroup_move(s->cgroup, 0, err);

	if (s->cgroup >= 0)
		close(nsi_take_fd(&s->cgroup));
	return r;
}

/* On the host still: inside nobody may raise them. */
static int limit(const struct nsi_limits *limits, struct nsi_error *err)
{
	int r = nsi_raise_limits(limits, err);

	if (r == 0)
		r = nsi_set_limits(limits, err);
	return r < 0 ? r : nsi_set_oom_score(-1, limits, err);
}

int nsi_session_join(struct nsi_session *s, struct nsi_error *err)
{
	int r = nsi_control_tell(s->sock, NSI_ASK_CHILD, true);

	if (r < 0)
		r = nsi_fail(err, -r, "telling", "the container's supervisor", "it has ended");
	if (r == 0 && s->order && (r = nsi_record_join(s->recorder, err)) < 0)
		return r;
	if (r == 0 && s->relay) /* the session gets a terminal of the host */
		r = nsi_deny_terminal_input(err);
	if (r == 0)
		r = limit(&s->confine.limits, err);
	if (r == 0)
		r = move_to_cgroup(s, err);
	if (r == 0)
		r = nsi_filter_groups(&s->confine, err);
	if (r == 0)
		r = nsi_enter(s->pid1, s->confine.namespaces, err);
	if (r == 0)
		r = nsi_confine_shared(&s->confine, err);
	return r < 0 ? nsi_error_reason(err, "join") : 0;
}

/*
 * What the caller of su or runuser had open, a directory of the host's for one, would be open inside, too.
 * What the process itself needs it keeps; what it executes gets 0, 1 and 2.
 */
static int keep_descriptors(struct nsi_error *err)
{
	int r = nsi_check_stdio(err);

	if (r == 0 && nsi_close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		r = nsi_fail(err, errno, "keeping", "the descriptors of the host", NULL);
	return r;
}

/* The terminal stays the caller's, who may do with it what they like: there is nobody to record it. */
static int record_without_terminal(struct nsi_session *s, struct nsi_error *err)
{
	if (nsi_has_terminal()) {
		nsi_failf(err, ENOTSUP, "recording", "the session",
			"log in by ssh, or leave record = \"tty\" out of the rule",
			"the terminal of a process that enters by itself cannot be recorded");
		return nsi_error_reason(err, "record");
	}
	nsi_record_command_of(s->order, getpid());
	int r = start_recorder(s, NSI_RECORD_NOTHING, NULL, err);
	/* It ends with this process; inside nobody is to have a way to it. */
	if (r == 0)
		close(nsi_take_fd(&s->recorder));
	return r;
}

int nsi_session_enter(struct nsi_session *s, struct nsi_error *err)
{
	char cwd[PATH_MAX];
	bool kept = getcwd(cwd, sizeof(cwd)) != NULL;
	int r = 0;

	if (!(s->confine.namespaces & CLONE_NEWUSER))
		r = nsi_failf(err, EPERM, "entering", "the container",
			"remove userns = \"off\" from the rule",
			"a privileged process may do so only with a user namespace");
	/* Before anything is changed that cannot be undone. */
	if (r == 0 && nsi_has_threads())
		r = nsi_failf(err, EINVAL, "entering", "the container",
			"let this service open its sessions in processes of their own",
			"the kernel keeps a process that has threads out");
	if (r == 0 && s->order && (r = record_without_terminal(s, err)) < 0)
		return r;
	if (r == 0)
		r = keep_descriptors(err);
	if (r == 0)
		r = nsi_pin_names(err);
	if (r == 0 && !s->confine.seccomp) /* the filter has it */
		r = nsi_deny_terminal_input(err);
	if (r == 0)
		r = move_to_cgroup(s, err);
	if (r == 0)
		r = limit(&s->confine.limits, err);
	if (r == 0)
		r = nsi_filter_groups(&s->confine, err);
	if (r == 0)
		r = nsi_enter(s->pid1, s->confine.namespaces, err);
	if (r == 0)
		r = nsi_confine_shared(&s->confine, err);
	if (r == 0)
		r = nsi_hide_process(err);
	if (r < 0)
		return nsi_error_reason(err, "join");
	/* Where the caller was, if the container has such a place. */
	if (kept)
		(void)!nsi_chdir(cwd);
	close(nsi_take_fd(&s->pid1));
	close(nsi_take_fd(&s->terminals));
	close(nsi_take_fd(&s->devpts));
	return 0;
}

int nsi_shut_away(struct nsi_error *err)
{
	int r = nsi_own_nothing(err);

	if (r == 0)
		r = nsi_mount_nothing(err);
	return r < 0 ? nsi_error_reason(err, "setup") : 0;
}

const char *nsi_session_container(const struct nsi_session *s)
{
	return s->container;
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
	nsi_leave(&s->mounts);
	if (s->recorder >= 0)
		nsi_record_close(s->recorder);
	if (s->sock >= 0)
		nsi_control_tell(s->sock, NSI_ASK_CLOSE, false);
	nsi_session_free(s);
}

void nsi_session_free(struct nsi_session *s)
{
	if (!s)
		return;
	int *const fds[] = {&s->sock, &s->pid1, &s->terminals, &s->cgroup, &s->devpts, &s->recorder};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (*fds[i] >= 0)
			close(*fds[i]);
	nsi_mounts_forget(&s->mounts);
	free(s->order);
	free(s);
}
