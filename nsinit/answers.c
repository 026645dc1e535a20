/* What the supervisor answers: who is let in, and by which way. */
#include "sessions.h"

#include "../libcore/act/cgroup.h"
#include "../libcore/act/limits.h"
#include "../libcore/base/cleanup.h"
#include "../libcore/base/compat.h"
#include "../libcore/base/io.h"
#include "../libcore/base/str.h"
#include "../libcore/process/join.h"

#include <string.h>

static void answer(struct session *s, bool as_login_user, const int *fds, int n_fds)
{
	const struct nsi_plan *plan = s->server->c->plan;
	int all[NSI_MAX_FDS];
	struct nsi_reply *reply = calloc(1, sizeof(*reply));

	if (!reply)
		return;
	reply->magic = NSI_CONTROL_MAGIC;
	reply->confine = plan->confine;
	memcpy(all, fds, (size_t)n_fds * sizeof(int));
	/* To root's processes alone: whoever has the directory can move any process there. */
	if (!as_login_user && s->server->c->cgroup.dir >= 0) {
		reply->cgroup = (uint32_t)n_fds;
		all[n_fds++] = s->server->c->cgroup.dir;
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
	nsi_send(s->sock, reply, NSI_REPLY_HEAD + reply->env_len, all, n_fds);
	free(reply);
}

static int logins(const struct server *server)
{
	int n = 0;

	for (const struct session *s = server->sessions; s; s = s->next)
		n += s->login;
	return n;
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

void serve_login(struct session *s, uid_t uid)
{
	const struct nsi_process *pid1 = &s->server->c->pid1;
	cleanup_fd int terminals = -1;
	struct nsi_error err = {0};
	int r = check_login(s->server, uid, &err);

	if (r == 0)
		r = check_number(s->server, &err);
	if (r == 0)
		r = nsi_borrow_terminals(pid1->pidfd, pid1->devpts, &terminals, &err);
	if (r < 0)
		nsi_control_refuse(s->sock, &err);
	else
		answer(s, false, (int[]){pid1->pidfd, pid1->devpts, terminals}, NSI_REPLY_FDS);
	s->login = s->opens = r == 0;
}

/* By the door it belongs to a login that is counted already. */
void serve_shell(struct session *s, uid_t uid)
{
	const struct nsi_process *pid1 = &s->server->c->pid1;
	struct nsi_error err = {0};
	int r = check_login(s->server, uid, &err);

	if (r == 0 && !s->door)
		r = check_number(s->server, &err);
	if (r == 0 && !(s->server->c->plan->confine.namespaces & CLONE_NEWUSER)) {
		nsi_failf(&err, EPERM, "opening a session in", s->server->c->id,
			"remove userns = \"off\" from the rule",
			"without a user namespace nsinit-shell has no right to enter");
		r = nsi_error_reason(&err, "session");
	}
	/* It has no right to move itself. */
	if (r == 0 && s->server->c->cgroup.dir >= 0)
		r = nsi_cgroup_move_process(s->server->c->cgroup.dir, s->leader, &err);
	if (r == 0) /* it has no right to do so itself; what it starts inherits it */
		r = nsi_set_oom_score(s->leader, &s->server->c->plan->confine.limits, &err);
	if (r < 0)
		nsi_control_refuse(s->sock, &err);
	else
		answer(s, true, (int[]){pid1->pidfd, pid1->devpts}, 2);
	s->login = r == 0 && !s->door;
}

/* Root's: into this container whoever it belongs to, or into that of a user. */
void serve_exec(struct session *s, uid_t uid)
{
	const struct nsi_process *pid1 = &s->server->c->pid1;
	struct nsi_error err = {0};

	if (uid != 0 && check_login(s->server, uid, &err) < 0)
		nsi_control_refuse(s->sock, &err);
	else
		answer(s, false, (int[]){pid1->pidfd, pid1->devpts}, 2);
}

void tell_status(const struct session *s)
{
	struct nsi_reply *reply = calloc(1, sizeof(*reply));

	if (!reply)
		return;
	reply->magic = NSI_CONTROL_MAGIC;
	reply->sessions = (uint32_t)s->server->counted;
	nsi_send(s->sock, reply, NSI_REPLY_HEAD, NULL, 0);
	free(reply);
}
