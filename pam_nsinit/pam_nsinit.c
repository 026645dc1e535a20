/*
 * pam_nsinit: the login lands in its container.
 *
 *     auth     optional  pam_nsinit.so     for sshd: its setcred hook is where the join happens
 *     session  required  pam_nsinit.so     last
 *
 * open_session has the container live. How the session gets in depends on the service (nsi_policy_service()):
 *
 * split: sshd calls, in its privileged monitor: setcred, open_session; then it forks, and in the child, as
 * root and after initgroups(), setcred again, right before it drops to the user (OpenSSH 9.2 session.c
 * do_setusercontext(), the same in 10.x). The second setcred moves the child in. The monitor, with the host's
 * name services, logs and records, stays outside.
 *
 * sshd ignores what setcred returns for public-key logins. A child that could not join therefore ends here.
 * And a module before this one can stop the stack in the child, so that the hook is not called at all. From
 * open_session on, every child therefore starts without the effective CAP_SETUID, which the hook gives back:
 * without it, sshd's attempt to become the user fails, which is fatal to the child.
 *
 * Where the session line is only "optional", a refusal is not heard; where a line before it ends the stack,
 * we are not asked. The same hook therefore shuts a child away, in an empty place, if open_session has not
 * said that its user stays on the host. (sshd still tells a user there that he is refused.) What else is
 * forked after a refusal lacks CAP_SETUID as well: the hook may not be called either.
 *
 * join: su, sudo, cron and the like fork a child that nobody tells us of. The process that opens the session
 * enters itself, before it does.
 *
 * shell: login(1) wants to own its terminal, on the host, and runs nothing but the user's shell. That is
 * nsinit-shell, which finds the session open.
 */
#include "../libcore/nsinit.h"
#include "guard.h"
#include "log.h"
#include "verdict.h"

#include <errno.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

/* The version script exports these; everything else of the library stays inside. */
#define EXPORT __attribute__((visibility("default")))

#define DATA_SESSION "nsinit_session"
#define DATA_HOOKED "nsinit_hooked"   /* the process that called setcred first */
#define DATA_VERDICT "nsinit_verdict" /* where open_session opened nothing: &stays or &refused */
#define DATA_GUARD "nsinit_guard"

struct login {
	pid_t owner; /* the process that opened the session */
	bool split;  /* what this process forks is guarded for it */
	bool covers; /* its terminals are over the host's */
	enum nsi_service_mode mode;
	struct nsi_session *session;
	char user[256];
};

static char stays, refused;

/* What open_session has changed of this process for that login. */
static void unguard(const struct login *login)
{
	if (login->split)
		guard_lift();
	if (login->covers)
		guard_leave_terminals();
}

static int fail(struct nsi_error *err, int code, const char *reason, const char *cause)
{
	*err = (struct nsi_error){.code = code};
	snprintf(err->reason, sizeof(err->reason), "%s", reason);
	snprintf(err->step, sizeof(err->step), "opening");
	snprintf(err->object, sizeof(err->object), "the session");
	snprintf(err->cause, sizeof(err->cause), "%s", cause);
	return -code;
}

/* The whole chain to the log, one sentence to the user. */
static int refuse(pam_handle_t *pamh, int flags, const char *user, const struct nsi_error *err)
{
	char text[2048];

	module_log(pamh, LOG_ERR, "reason=%s user=%s refused: %s", err->reason[0] ? err->reason : "internal",
		user, nsi_error_text(err, text, sizeof(text)));
	if (!(flags & PAM_SILENT))
		pam_error(pamh, "%s", nsi_error_sentence(err));
	return PAM_SESSION_ERR;
}

/* Also runs in forked copies of the process: they may only drop what they hold. */
static void forget_login(pam_handle_t *pamh, void *data, int status)
{
	struct login *login = data;

	(void)pamh, (void)status;
	if (!login)
		return;
	if (login->owner == getpid()) {
		nsi_session_close(login->session);
		unguard(login);
	} else {
		nsi_session_free(login->session);
	}
	free(login);
}

static void forget_pid(pam_handle_t *pamh, void *data, int status)
{
	(void)pamh, (void)status;
	free(data);
}

/*
 * HOME and the like are the login's own; what else container.json sets holds for logins too. PATH, of which
 * sshd would otherwise set its compiled-in one, is the container's.
 */
static int export_environment(pam_handle_t *pamh, const struct nsi_session *session)
{
	static const char *const own[] = {"HOME=", "USER=", "LOGNAME=", "SHELL=", "MAIL=", "TERM=", NULL};
	/* pam_systemd(8): paths of the host. libpam logs the removal of what is not there. */
	static const char *const gone[] = {"XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", NULL};
	const char *entry;

	for (size_t i = 0; gone[i]; i++)
		if (pam_getenv(pamh, gone[i]))
			pam_putenv(pamh, gone[i]);
	for (size_t i = 0; (entry = nsi_session_env(session, i)); i++) {
		bool skip = false;

		for (size_t k = 0; own[k]; k++)
			skip |= strncmp(entry, own[k], strlen(own[k])) == 0;
		if (!skip && pam_putenv(pamh, entry) != PAM_SUCCESS)
			return PAM_SESSION_ERR;
	}
	return PAM_SUCCESS;
}

/* Whether the second call of setcred, in which sshd's child joins, will come. */
static int check_split(pam_handle_t *pamh, struct nsi_error *err)
{
	const void *hooked = NULL;

	if (pam_get_data(pamh, DATA_HOOKED, &hooked) == PAM_SUCCESS)
		return 0;
	return fail(err, EINVAL, "setup",
		"the line \"auth optional pam_nsinit.so\" is missing in the service's file");
}

static int check_shell(const struct nsi_user *user, struct nsi_error *err)
{
	if (strcmp(user->shell, NSINIT_SHELL) == 0)
		return 0;
	return fail(err, EPERM, "service",
		"this service only starts the login shell, which is not " NSINIT_SHELL);
}

/* sshd allocates the terminal, and its child has it when it joins. */
static int prepare_split(struct login *login, bool relay, struct nsi_error *err)
{
	if (!relay && !guard_take_terminals())
		return fail(err, EBUSY, "terminal", "another session of this process has its terminals here");
	login->covers = !relay;
	if (nsi_session_terminal(login->session, err) < 0)
		return -1;
	login->split = guard_forks();
	return login->split ? 0 : fail(err, ENOMEM, "internal", "no memory");
}

/* The session is open and counted; now the way in that the service has. */
static int bring_in(pam_handle_t *pamh, struct login *login, bool relay, struct nsi_error *err)
{
	switch (login->mode) {
	case NSI_SERVICE_SPLIT:
		return prepare_split(login, relay, err);
	case NSI_SERVICE_JOIN:
		/* The log line first: inside there is nobody to tell. */
		module_log(pamh, LOG_INFO, "user=%s enters its container", login->user);
		return nsi_session_enter(login->session, err);
	case NSI_SERVICE_SHELL:
	case NSI_SERVICE_DENY:
		break;
	}
	return 0;
}

/* The remote host, or else the terminal, as far as the service says so. */
static struct nsi_origin origin_of(pam_handle_t *pamh)
{
	const void *service = NULL, *host = NULL, *tty = NULL;
	struct nsi_origin origin = {0};

	if (pam_get_item(pamh, PAM_SERVICE, &service) == PAM_SUCCESS && service)
		snprintf(origin.service, sizeof(origin.service), "%s", (const char *)service);
	pam_get_item(pamh, PAM_RHOST, &host);
	pam_get_item(pamh, PAM_TTY, &tty);
	if (!host || !*(const char *)host)
		host = tty;
	if (host)
		snprintf(origin.from, sizeof(origin.from), "%s", (const char *)host);
	return origin;
}

static int open_container(pam_handle_t *pamh, int flags, const struct verdict *v)
{
	struct login *login = calloc(1, sizeof(*login));
	const struct nsi_origin origin = origin_of(pamh);
	struct nsi_error err = {0};
	int r = 0;

	if (!login)
		return PAM_BUF_ERR;
	login->owner = getpid();
	login->mode = v->mode;
	snprintf(login->user, sizeof(login->user), "%s", v->user.name);
	if (v->mode == NSI_SERVICE_SPLIT)
		r = check_split(pamh, &err);
	if (v->mode == NSI_SERVICE_SHELL)
		r = check_shell(&v->user, &err);
	if (r == 0)
		r = nsi_session_open(&v->user, &v->decision, &origin, &login->session, &err);
	if (r == 0)
		r = bring_in(pamh, login, v->decision.tty == NSI_TTY_RELAY, &err);
	if (r == 0 && (export_environment(pamh, login->session) != PAM_SUCCESS ||
			      pam_set_data(pamh, DATA_SESSION, login, forget_login) != PAM_SUCCESS))
		r = fail(&err, ENOMEM, "internal", "no memory");
	if (r < 0) {
		nsi_session_close(login->session);
		unguard(login);
		free(login);
		return refuse(pamh, flags, v->user.name, &err);
	}
	module_log(pamh, LOG_INFO, "user=%s rule=%d rootfs=%s container=%s session=%d session opened",
		v->user.name, v->decision.line, v->decision.rootfs, nsi_session_container(login->session),
		(int)getpid());
	return PAM_SUCCESS;
}

static int deny(pam_handle_t *pamh, int flags, const struct verdict *v, const char *service)
{
	bool by_rule = v->decision.verdict == NSI_DENY;

	module_log(pamh, LOG_NOTICE, "reason=%s user=%s rule=%d service=%s refused by the policy",
		by_rule ? "denied" : "service", v->user.name, v->decision.line, service);
	if (!(flags & PAM_SILENT))
		pam_error(pamh, "%s",
			by_rule ? v->decision.text : "This service does not lead into your container.");
	return PAM_SESSION_ERR;
}

/*
 * Where the module stands twice in a stack, say. The session that is open is the one: a second of it would
 * lose the way back of the first.
 */
static bool open_already(pam_handle_t *pamh, int flags, const char *name, int *ret)
{
	const void *data = NULL;
	struct nsi_error err;

	if (pam_get_data(pamh, DATA_SESSION, &data) != PAM_SUCCESS || !data)
		return false;
	const struct login *login = data;
	if (login->owner != getpid())
		return false;
	if (strcmp(login->user, name) == 0) {
		*ret = PAM_SUCCESS;
	} else {
		fail(&err, EBUSY, "session", "another user's is open by this handle");
		*ret = refuse(pamh, flags, name, &err);
	}
	return true;
}

static int open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	const void *service = NULL;
	const char *name = NULL;
	struct nsi_error err = {0};
	struct arguments args;
	struct verdict v = {0};
	bool loaded = false;
	int r;

	if (pam_get_user(pamh, &name, NULL) != PAM_SUCCESS || !name || !*name)
		return PAM_SESSION_ERR;
	if (open_already(pamh, flags, name, &r))
		return r;
	if (verdict_disabled(pamh, name))
		return PAM_IGNORE;
	if (!verdict_arguments(pamh, argc, argv, &args))
		return PAM_SESSION_ERR;
	if (pam_get_item(pamh, PAM_SERVICE, &service) != PAM_SUCCESS || !service)
		return PAM_SESSION_ERR;
	if (verdict_decide(args.policy, name, service, &v, &loaded, &err) < 0) {
		if (!loaded && verdict_exempted(pamh, args.exempt, name, &err))
			return PAM_IGNORE;
		return refuse(pamh, flags, name, &err);
	}
	if (args.debug)
		module_log(pamh, LOG_DEBUG, "user=%s rule=%d verdict=%d mode=%d", name, v.decision.line,
			(int)v.decision.verdict, (int)v.mode);
	if (v.decision.verdict == NSI_STAY)
		return PAM_IGNORE;
	if (v.decision.verdict == NSI_DENY || v.mode == NSI_SERVICE_DENY)
		return deny(pamh, flags, &v, service);
	return open_container(pamh, flags, &v);
}

/* The split mode's services, see nsi_policy_service(). */
static bool is_sshd(pam_handle_t *pamh)
{
	const void *service = NULL;

	return pam_get_item(pamh, PAM_SERVICE, &service) == PAM_SUCCESS && service &&
	       strncmp(service, "sshd", 4) == 0;
}

static void lift_guard(pam_handle_t *pamh, void *data, int status)
{
	(void)pamh, (void)data, (void)status;
	guard_lift();
}

/*
 * For a service that goes on all the same: what it forks cannot become the user. sshd's child gets it back
 * where our hook has shut it away.
 */
static int hold_back(pam_handle_t *pamh)
{
	if (!guard_forks())
		return PAM_BUF_ERR;
	int r = pam_set_data(pamh, DATA_GUARD, &refused, lift_guard);
	if (r != PAM_SUCCESS)
		guard_lift();
	return r == PAM_SUCCESS ? pam_set_data(pamh, DATA_VERDICT, &refused, NULL) : r;
}

EXPORT int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	int r = open_session(pamh, flags, argc, argv);
	if (r == PAM_IGNORE && pam_set_data(pamh, DATA_VERDICT, &stays, NULL) != PAM_SUCCESS)
		r = PAM_SESSION_ERR;
	if (r != PAM_SUCCESS && r != PAM_IGNORE)
		hold_back(pamh);
	return r;
}

EXPORT int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	const void *data = NULL;

	(void)flags, (void)argc, (void)argv;
	if (pam_get_data(pamh, DATA_SESSION, &data) != PAM_SUCCESS || !data)
		return PAM_IGNORE;
	const struct login *login = data;
	if (login->owner != getpid())
		return PAM_IGNORE;
	module_log(pamh, LOG_INFO, "user=%s session closed", login->user);
	/* Runs forget_login(). */
	return pam_set_data(pamh, DATA_SESSION, NULL, NULL);
}

EXPORT int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags, (void)argc, (void)argv;
	return PAM_IGNORE;
}

static void join_or_end(pam_handle_t *pamh, struct login *login)
{
	struct nsi_error err = {0};
	char text[2048];

	if (nsi_setuid_resume(&err) == 0 && nsi_session_join(login->session, &err) == 0) {
		guard_end();
		return;
	}
	module_log(pamh, LOG_ERR, "reason=%s user=%s refused: %s", err.reason, login->user,
		nsi_error_text(&err, text, sizeof(text)));
	_exit(REFUSED);
}

/* Root is in nobody's container, and must be able to repair the stack. */
static bool belongs_on_the_host(pam_handle_t *pamh, int argc, const char **argv)
{
	const void *service = NULL, *verdict = NULL;
	const char *name = NULL;
	struct nsi_error err = {0};
	struct arguments args;
	struct verdict v;
	bool loaded;

	if (pam_get_data(pamh, DATA_VERDICT, &verdict) == PAM_SUCCESS && verdict == &stays)
		return true;
	if (pam_get_user(pamh, &name, NULL) != PAM_SUCCESS || !name)
		return false;
	if (nsi_user_lookup(name, &v.user, &err) == 0 && v.user.uid == 0)
		return true;
	if (verdict)
		return false;
	if (verdict_disabled(pamh, name))
		return true;
	pam_get_item(pamh, PAM_SERVICE, &service);
	if (verdict_arguments(pamh, argc, argv, &args) &&
		verdict_decide(args.policy, name, service, &v, &loaded, &err) == 0 &&
		v.decision.verdict == NSI_STAY)
		return true;
	module_log(pamh, LOG_ERR,
		"reason=setup user=%s refused: the line \"session required pam_nsinit.so\" is missing in the "
		"service's file, or a line before it ends the stack",
		name);
	return false;
}

static int without_session(pam_handle_t *pamh, int argc, const char **argv)
{
	const void *data = NULL;
	struct nsi_error err = {0};
	char text[2048];

	if (pam_get_data(pamh, DATA_HOOKED, &data) != PAM_SUCCESS || !data) {
		/* Before the session: leave word that this hook is in place. */
		pid_t *self = malloc(sizeof(*self));

		if (!self)
			return PAM_BUF_ERR;
		*self = getpid();
		return pam_set_data(pamh, DATA_HOOKED, self, forget_pid) == PAM_SUCCESS ? PAM_IGNORE
											: PAM_CRED_ERR;
	}
	if (*(const pid_t *)data == getpid() || !is_sshd(pamh))
		return PAM_IGNORE;
	int r = belongs_on_the_host(pamh, argc, argv) ? 0 : nsi_shut_away(&err);
	/* From here on it may become the user: sshd tells a user that is shut away that he is refused. */
	if (r == 0)
		r = nsi_setuid_resume(&err);
	if (r < 0) {
		module_log(pamh, LOG_ERR, "%s", nsi_error_text(&err, text, sizeof(text)));
		_exit(REFUSED);
	}
	guard_end();
	return PAM_IGNORE;
}

EXPORT int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	const void *data = NULL;

	if (flags & PAM_DELETE_CRED)
		return PAM_IGNORE;
	if (pam_get_data(pamh, DATA_SESSION, &data) != PAM_SUCCESS || !data)
		return without_session(pamh, argc, argv);
	const struct login *login = data;
	if (login->mode != NSI_SERVICE_SPLIT || login->owner == getpid())
		return PAM_IGNORE;
	join_or_end(pamh, (struct login *)(uintptr_t)login);
	/* Runs forget_login() for this process: no descriptor of the host stays open in it. */
	if (pam_set_data(pamh, DATA_SESSION, NULL, NULL) != PAM_SUCCESS)
		_exit(REFUSED);
	return PAM_IGNORE;
}
