/* What the supervisor answers to those who connect. */
#include "../../libcore/act/cgroup.h"
#include "../../libcore/act/limits.h"
#include "../../libcore/act/proc.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/str.h"
#include "../../libcore/process/join.h"
#include "server_parts.h"

#include <poll.h>
#include <string.h>

/* 0: it has ended. */
static pid_t number_of(int pidfd)
{
	pid_t pid;

	return nsi_pidfd_number(pidfd, &pid) < 0 ? 0 : pid;
}

/* False, with the asker refused, when it cannot be sent. */
static bool answer(const struct session *s, bool as_login_user, const int *fds, int n_fds)
{
	const struct nsi_plan *plan = s->server->c->plan;
	struct nsi_reply *reply = s->server->reply;
	struct nsi_error err = {0};
	int all[NSI_MAX_FDS];

	memset(reply, 0, NSI_REPLY_HEAD);
	reply->magic = NSI_CONTROL_MAGIC;
	nsi_copy_array(reply->id, s->server->c->id);
	reply->confine = plan->confine;
	memcpy(all, fds, (size_t)n_fds * sizeof(int));
	/* To root's processes alone: whoever has the directory can move any process there. */
	int group = group_dir(s->server->c, s->group);
	if (!as_login_user && group >= 0) {
		reply->cgroup = (uint32_t)n_fds;
		all[n_fds++] = group;
	}
	if (as_login_user) {
		reply->confine.uid = plan->login.uid;
		reply->confine.gid = plan->login.gid;
		reply->confine.keep_groups = true;
		reply->confine.ambient = 0;
		nsi_copy_array(reply->confine.working_dir, "/");
	}
	for (size_t i = 0; plan->environment[i]; i++) {
		size_t len = strlen(plan->environment[i]) + 1;

		if (reply->env_len + len > NSI_ENV_BYTES)
			break;
		memcpy(reply->env + reply->env_len, plan->environment[i], len);
		reply->env_len += (uint32_t)len;
	}
	int r = nsi_send(s->sock, reply, NSI_REPLY_HEAD + reply->env_len, all, n_fds);
	if (r < 0) {
		nsi_fail(&err, -r, "answering", "a session's request", NULL);
		nsi_error_reason(&err, "session");
		nsi_control_refuse(s->sock, &err);
	}
	return r == 0;
}

static int logins(const struct server *server)
{
	int n = 0;

	for (const struct session *s = server->sessions; s; s = s->next)
		n += s->login;
	return n;
}

/* Who joins would stop at once, and with it the service that lets the user in. */
static int check_awake(const struct server *server, struct nsi_error *err)
{
	if (!server->paused)
		return 0;
	nsi_failf(err, EBUSY, "opening a session in", server->c->id, "\"nsinit resume\" ends that",
		"the container is paused");
	return nsi_error_reason(err, "paused");
}

static int check_login(const struct server *server, uid_t uid, struct nsi_error *err)
{
	const struct nsi_confinement *confine = &server->c->plan->confine;

	if (!server->decision)
		nsi_failf(err, EBUSY, "opening a session in", server->c->id, "end that command first",
			"the container is in use by nsinit exec, which does not confine it for logins");
	else if ((confine->namespaces & CLONE_NEWUSER) &&
		 !nsi_idmap_same(confine->ids.uids, confine->ids.n_uids, uid))
		nsi_failf(err, EPERM, "opening a session in", server->c->id,
			"give each user a rootfs directory",
			"the running container is another user's: uid %u has no place in its user namespace",
			(unsigned)uid);
	else
		return 0;
	return nsi_error_reason(err, "session");
}

static int check_number(const struct server *server, struct nsi_error *err)
{
	int max = server->decision ? server->decision->max_sessions : 0;

	if (max <= 0 || logins(server) < max)
		return 0;
	nsi_failf(
		err, EUSERS, "opening a session in", server->c->id, NULL, "max_sessions = %d are open", max);
	return nsi_error_reason(err, "sessions");
}

/* Each has processes of root beside it, that last as long as the leader. */
static int check_alone(const struct session *s, struct nsi_error *err)
{
	for (const struct session *other = s->server->sessions; other; other = other->next) {
		if (other == s || !other->recorded || other->ask != s->ask ||
			other->leader_pid != s->leader_pid)
			continue;
		nsi_failf(err, EBUSY, "opening a session in", s->server->c->id, NULL,
			"process %d has a recorded one already", (int)s->leader_pid);
		return nsi_error_reason(err, "session");
	}
	return 0;
}

bool session_count(struct session *s, const struct nsi_request *q, int leader)
{
	if (s->leader >= 0 || leader < 0) {
		if (leader >= 0)
			close(leader); /* asked for a second time: the first leader holds */
		return false;
	}
	s->leader = leader;
	s->leader_pid = number_of(leader);
	s->ask = q->ask;
	s->uid = q->uid;
	s->origin = q->origin;
	s->recorded = q->recorded != 0;
	s->since = loop_now();
	s->server->counted++;
	server_counted_changed(s->server);
	return loop_watch(s->server->loop, leader, POLLIN, session_leader_ended, s);
}

static void serve_login(struct session *s, uid_t uid)
{
	const struct nsi_process *pid1 = &s->server->c->pid1;
	cleanup_fd int terminals = -1;
	struct nsi_error err = {0};
	int r = check_login(s->server, uid, &err);

	if (r == 0)
		r = check_awake(s->server, &err);
	if (r == 0)
		r = check_number(s->server, &err);
	if (r == 0)
		r = group_open(s->server->groups, uid, s->leader_pid, &s->group, &err);
	if (r == 0)
		r = nsi_borrow_terminals(pid1->pidfd, pid1->devpts, &terminals, &err);
	if (r < 0)
		nsi_control_refuse(s->sock, &err);
	else
		s->login = s->opens =
			answer(s, false, (int[]){pid1->pidfd, pid1->devpts, terminals}, NSI_REPLY_FDS);
}

/* By the door it belongs to a login that is counted already. */
void session_serve_shell(struct session *s, uid_t uid)
{
	const struct nsi_process *pid1 = &s->server->c->pid1;
	struct nsi_error err = {0};
	int r = check_login(s->server, uid, &err);

	if (r == 0)
		r = check_awake(s->server, &err);
	if (r == 0 && !s->door)
		r = check_number(s->server, &err);
	if (r == 0 && s->recorded)
		r = check_alone(s, &err);
	if (r == 0 && !(s->server->c->plan->confine.namespaces & CLONE_NEWUSER)) {
		nsi_failf(&err, EPERM, "opening a session in", s->server->c->id,
			"remove userns = \"off\" from the rule",
			"without a user namespace nsinit-shell has no right to enter");
		r = nsi_error_reason(&err, "session");
	}
	if (r == 0)
		r = group_open(s->server->groups, uid, s->leader_pid, &s->group, &err);
	int group = group_dir(s->server->c, s->group);
	if (r == 0 && group >= 0) /* it has no right to move itself */
		r = nsi_cgroup_move_process(group, s->leader, &err);
	if (r == 0) /* it has no right to do so itself; what it starts inherits it */
		r = nsi_set_oom_score(s->leader, &s->server->c->plan->confine.limits, &err);
	if (r < 0)
		nsi_control_refuse(s->sock, &err);
	else
		s->login = answer(s, true, (int[]){pid1->pidfd, pid1->devpts}, 2) && !s->door;
}

/*
 * Whoever has started the container may enter it, and root any. A `uid` that root names is that of the login
 * which it is to be.
 */
static void serve_exec(struct session *s, uid_t uid)
{
	const struct nsi_process *pid1 = &s->server->c->pid1;
	struct nsi_error err = {0};

	bool named = uid != 0 && geteuid() == 0;

	if (check_awake(s->server, &err) < 0 || (named && check_login(s->server, uid, &err) < 0))
		nsi_control_refuse(s->sock, &err);
	else
		answer(s, false, (int[]){pid1->pidfd, pid1->devpts}, 2);
}

/* ------------------------------------------------------------------ for the administrator */

static void tell_status(const struct session *asker)
{
	const struct server *server = asker->server;
	const struct nsi_decision *d = server->decision;
	struct nsi_status *status = calloc(1, sizeof(*status));

	if (!status)
		return;
	status->magic = NSI_CONTROL_MAGIC;
	status->paused = server->paused;
	status->sessions = (uint32_t)server->counted;
	status->namespaces = server->c->plan->confine.namespaces;
	status->resources = server->c->plan->resources;
	status->session_resources = server->c->plan->session_resources;
	memcpy(status->not_kept, server->c->cgroup.note, sizeof(status->not_kept));
	if (d) {
		status->login = true;
		status->line = d->line;
		status->lifetime = d->lifetime;
		status->idle = d->idle;
		status->max_age = d->max_age;
		status->max_sessions = d->max_sessions;
	}
	for (const struct session *s = server->sessions; s && status->n < NSI_TOLD_SESSIONS; s = s->next) {
		if (s->leader < 0)
			continue;
		status->list[status->n++] = (struct nsi_told_session){.ask = s->ask,
			.leader = number_of(s->leader),
			.uid = s->uid,
			.age = (uint32_t)((loop_now() - s->since) / 1000),
			.origin = s->origin};
	}
	nsi_send(asker->sock, status, NSI_STATUS_HEAD + status->n * sizeof(status->list[0]), NULL, 0);
	free(status);
}

static void tell_done(const struct session *s, int status)
{
	struct nsi_reply *reply = s->server->reply;

	memset(reply, 0, NSI_REPLY_HEAD);
	reply->magic = NSI_CONTROL_MAGIC;
	reply->status = status;
	nsi_send(s->sock, reply, NSI_REPLY_HEAD, NULL, 0);
}

void session_tell_end(struct session *s, int status)
{
	tell_done(s, status);
}

/*
 * By the control group alone: SIGSTOP would be seen by the processes' parents, would leave out sshd's
 * processes for the sessions, and its undoing would also wake what a user had stopped.
 */
static void serve_pause(const struct session *s, bool pause)
{
	struct server *server = s->server;
	struct nsi_error err = {0};
	int r = 0;

	if (server->c->cgroup.dir < 0) {
		nsi_failf(&err, ENOTSUP, "pausing", server->c->id,
			"give it \"resources\", or the rule \"limits\"",
			"it has no control group to be frozen with");
		r = nsi_error_reason(&err, "pause");
	}
	if (r == 0)
		r = nsi_cgroup_freeze(server->c->cgroup.dir, pause, &err);
	if (r < 0)
		return nsi_control_refuse(s->sock, &err);
	server->paused = pause;
	tell_done(s, 0);
}

void session_serve(struct session *s, const struct nsi_request *q, int *pidfd)
{
	switch (q->ask) {
	case NSI_ASK_LOGIN:
		if (session_count(s, q, nsi_take_fd(pidfd)))
			serve_login(s, q->uid);
		break;
	case NSI_ASK_EXEC:
		if (session_count(s, q, nsi_take_fd(pidfd)))
			serve_exec(s, q->uid);
		break;
	case NSI_ASK_SHELL:
		if (session_count(s, q, nsi_take_fd(pidfd)))
			session_serve_shell(s, q->uid);
		break;
	case NSI_ASK_CHILD:
		if (s->child < 0)
			s->child_pid = number_of(s->child = nsi_take_fd(pidfd));
		break;
	case NSI_ASK_CLOSE:
		session_end(s);
		break;
	case NSI_ASK_STATUS:
		tell_status(s);
		break;
	case NSI_ASK_WAIT:
		s->waits = s->leader < 0;
		break;
	case NSI_ASK_PAUSE:
	case NSI_ASK_RESUME:
		serve_pause(s, q->ask == NSI_ASK_PAUSE);
		break;
	}
}
