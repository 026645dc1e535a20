#include "front_parts.h"

#include "../../libcore/act/tty.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/parse/policy.h"
#include "../../libcore/whole/ensure.h"
#include "../../libcore/whole/record.h"

#include <stdlib.h>

static int decide(const char *name, struct nsi_login *who, struct nsi_error *err)
{
	struct nsi_policy *policy = NULL;
	int r = nsi_policy_load(NSINIT_POLICY, &policy, err);

	if (r == 0)
		r = nsi_policy_user(policy, name, &who->user, err);
	if (r == 0)
		r = nsi_policy_decide(policy, &who->user, &who->decision, err);
	nsi_policy_free(policy);
	if (r < 0 || who->decision.verdict == NSI_CONTAINER)
		return r;
	nsi_failf(err, ENOENT, "looking for the container of", name, "\"nsinit explain\" tells by which rule",
		"%s",
		who->decision.verdict == NSI_DENY ? "the policy refuses this user"
						  : "the policy leaves this user on the host");
	return nsi_error_reason(err, "policy");
}

/* The recorder stands between us and the command's terminal, which is there before the command is. */
static int record(const struct exec_options *o, const struct nsi_login *who, struct entry *e, struct front *f,
	struct nsi_exec *exec, struct nsi_error *err)
{
	static const struct nsi_origin origin = {.service = "nsinit exec"};
	int pair[NSI_MAX_FDS];
	int r = nsi_record_pair(
		who, &origin, o->command, f->tty, -1, &e->reply, e->fds[NSI_FD_DEVPTS], pair, err);

	if (r < 0 || !f->tty)
		return r;
	e->master = pair[0];
	exec->terminal = pair[1];
	nsi_tty_size_of_ours(e->master, exec->terminal);
	return 0;
}

int front_for(const struct exec_options *o, struct entry *e, struct front *f, struct nsi_exec *exec,
	struct nsi_error *err)
{
	struct nsi_question q = {.ask = NSI_ASK_EXEC, .leader = -1};
	cleanup_free struct nsi_login *who = calloc(1, sizeof(*who));

	if (!who)
		return nsi_fail(err, ENOMEM, "looking for the container of", o->owner, NULL);
	if (geteuid() != 0)
		return nsi_failf(err, EPERM, "looking for the container of", o->owner, "run it as root",
			"the containers of logins are root's");
	int r = decide(o->owner, who, err);
	if (r < 0)
		return r;
	q.uid = who->user.uid;
	r = nsi_ensure(who, &q, &e->sock, &e->reply, e->fds, err);
	if (r == 0 && who->decision.recording.tty)
		r = record(o, who, e, f, exec, err);
	return r < 0 ? r : front_join(o, e, f, exec, err);
}
