/*
 * pam_nsinit: the login lands in its container.
 *
 *     auth     optional  pam_nsinit.so     after the others; its setcred hook is where the join happens
 *     session  required  pam_nsinit.so     last
 *
 * sshd calls, in its privileged monitor: setcred, open_session; then it forks, and in the child, as root and
 * after initgroups(), setcred again, right before it drops to the user (OpenSSH 9.2 session.c
 * do_setusercontext(), the same in 10.x). open_session has the container live; the second setcred moves the
 * child in. The monitor, with the host's name services, logs and records, stays outside.
 *
 * sshd ignores what setcred returns for public-key logins. A child that could not join therefore ends here.
 */
#include "../libcore/nsinit.h"

#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

/* The version script exports these; everything else of the library stays inside. */
#define EXPORT __attribute__((visibility("default")))

#define DATA_SESSION "nsinit_session"
#define DATA_HOOKED "nsinit_hooked"

/* What sshd's child ends with when it must not go on: the status that clients show for a refused login. */
enum { REFUSED = 254 };

struct arguments {
	const char *policy;
	const char *exempt; /* a group that is let in where the policy cannot be loaded; NULL: nobody is */
	bool debug;
};

struct login {
	pid_t owner; /* the process that opened the session */
	struct nsi_session *session;
	char user[256];
};

static bool parse_arguments(pam_handle_t *pamh, int argc, const char **argv, struct arguments *args)
{
	*args = (struct arguments){.policy = NSINIT_POLICY};
	for (int i = 0; i < argc; i++) {
		if (strncmp(argv[i], "policy=", 7) == 0) {
			args->policy = argv[i] + 7;
		} else if (strncmp(argv[i], "exempt=", 7) == 0 && argv[i][7]) {
			args->exempt = argv[i] + 7;
		} else if (strcmp(argv[i], "debug") == 0) {
			args->debug = true;
		} else {
			pam_syslog(pamh, LOG_ERR, "reason=argument unknown module argument \"%s\"", argv[i]);
			return false;
		}
	}
	return true;
}

/* The whole chain to the log, one sentence to the user. */
static int refuse(pam_handle_t *pamh, int flags, const char *user, const struct nsi_error *err)
{
	char text[2048];

	pam_syslog(pamh, LOG_ERR, "reason=%s user=%s refused: %s", err->reason[0] ? err->reason : "internal",
		user, nsi_error_text(err, text, sizeof(text)));
	if (!(flags & PAM_SILENT))
		pam_error(pamh, "%s",
			strcmp(err->reason, "sessions") == 0
				? "You have too many sessions open: end one first."
				: "Your container could not be opened; the administrator finds the reason in "
				  "the log.");
	return PAM_SESSION_ERR;
}

/* Also runs in forked copies of the process: they may only drop what they hold. */
static void forget_login(pam_handle_t *pamh, void *data, int status)
{
	struct login *login = data;

	(void)pamh, (void)status;
	if (!login)
		return;
	if (login->owner == getpid())
		nsi_session_close(login->session);
	else
		nsi_session_free(login->session);
	free(login);
}

/*
 * HOME and the like are the login's own; what else container.json sets holds for logins too. PATH, of which
 * sshd would otherwise set its compiled-in one, is the container's.
 */
static int export_environment(pam_handle_t *pamh, const struct nsi_session *session)
{
	static const char *const own[] = {"HOME=", "USER=", "LOGNAME=", "SHELL=", "MAIL=", "TERM=", NULL};
	const char *entry;

	for (size_t i = 0; (entry = nsi_session_env(session, i)); i++) {
		bool skip = false;

		for (size_t k = 0; own[k]; k++)
			skip |= strncmp(entry, own[k], strlen(own[k])) == 0;
		if (!skip && pam_putenv(pamh, entry) != PAM_SUCCESS)
			return PAM_SESSION_ERR;
	}
	return PAM_SUCCESS;
}

/*
 * Only a service that is known to call setcred in the child it forks can be let in: any other would go on
 * with a process on the host.
 */
static bool service_joins(pam_handle_t *pamh, const char *user)
{
	const void *hooked = NULL, *service = NULL;

	pam_get_item(pamh, PAM_SERVICE, &service);
	if (!service || strcmp(service, "sshd") != 0) {
		pam_syslog(pamh, LOG_ERR,
			"reason=service user=%s refused: service \"%s\" gives no place to join from", user,
			service ? (const char *)service : "?");
		return false;
	}
	if (pam_get_data(pamh, DATA_HOOKED, &hooked) != PAM_SUCCESS) {
		pam_syslog(pamh, LOG_ERR,
			"reason=setup user=%s refused: the line \"auth optional pam_nsinit.so\" is missing "
			"in "
			"/etc/pam.d/sshd",
			user);
		return false;
	}
	return true;
}

static int open_container(
	pam_handle_t *pamh, int flags, const struct nsi_user *user, const struct nsi_decision *decision)
{
	struct login *login = calloc(1, sizeof(*login));
	struct nsi_error err = {0};

	if (!login)
		return PAM_BUF_ERR;
	login->owner = getpid();
	strcpy(login->user, user->name);
	if (nsi_session_open(user, decision, &login->session, &err) < 0 ||
		nsi_session_terminal(login->session, &err) < 0) {
		nsi_session_close(login->session);
		free(login);
		return refuse(pamh, flags, user->name, &err);
	}
	if (export_environment(pamh, login->session) != PAM_SUCCESS ||
		pam_set_data(pamh, DATA_SESSION, login, forget_login) != PAM_SUCCESS) {
		nsi_session_close(login->session);
		free(login);
		return PAM_SESSION_ERR;
	}
	pam_syslog(pamh, LOG_INFO, "user=%s rule=%d rootfs=%s session opened", user->name, decision->line,
		decision->rootfs);
	return PAM_SUCCESS;
}

/* `nsinit disable`: whoever logs in is let onto the host, and the log has it. */
static bool disabled(pam_handle_t *pamh, const char *name)
{
	unsigned seconds = nsi_disabled_seconds();

	if (seconds > 0)
		pam_syslog(pamh, LOG_WARNING,
			"reason=disabled user=%s let onto the host: nsinit is disabled for another %u s",
			name, seconds);
	return seconds > 0;
}

/* With exempt=GROUP, a policy that cannot be loaded keeps neither root nor the group's members out. */
static bool exempted(pam_handle_t *pamh, const char *group, const char *name, const struct nsi_error *why)
{
	struct nsi_error err = {0};
	struct nsi_user user;
	char text[2048];

	if (!group || nsi_user_lookup(name, &user, &err) < 0 ||
		(user.uid != 0 && nsi_user_in_group(&user, group, &err) != 1))
		return false;
	pam_syslog(pamh, LOG_ALERT, "reason=exempt user=%s let onto the host, there is no policy: %s", name,
		nsi_error_text(why, text, sizeof(text)));
	return true;
}

static int decide(const char *path, const char *name, struct nsi_user *user, struct nsi_decision *decision,
	bool *ret_loaded, struct nsi_error *err)
{
	struct nsi_policy *policy = NULL;
	int r = nsi_policy_load(path, &policy, err);

	*ret_loaded = r == 0;
	if (r == 0)
		r = nsi_user_lookup(name, user, err);
	if (r == 0)
		r = nsi_policy_decide(policy, user, decision, err);
	nsi_policy_free(policy);
	return r;
}

EXPORT int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	const char *name = NULL;
	struct nsi_decision decision;
	struct nsi_error err = {0};
	struct arguments args;
	struct nsi_user user;
	bool loaded;

	if (pam_get_user(pamh, &name, NULL) != PAM_SUCCESS || !name || !*name)
		return PAM_SESSION_ERR;
	if (disabled(pamh, name))
		return PAM_IGNORE;
	if (!parse_arguments(pamh, argc, argv, &args))
		return PAM_SESSION_ERR;
	if (decide(args.policy, name, &user, &decision, &loaded, &err) < 0) {
		if (!loaded && exempted(pamh, args.exempt, name, &err))
			return PAM_IGNORE;
		return refuse(pamh, flags, name, &err);
	}
	if (args.debug)
		pam_syslog(pamh, LOG_DEBUG, "user=%s rule=%d verdict=%d", name, decision.line,
			(int)decision.verdict);
	switch (decision.verdict) {
	case NSI_STAY:
		return PAM_IGNORE;
	case NSI_DENY:
		pam_syslog(pamh, LOG_NOTICE, "reason=denied user=%s rule=%d refused by the policy", name,
			decision.line);
		if (!(flags & PAM_SILENT))
			pam_error(pamh, "%s", decision.text);
		return PAM_SESSION_ERR;
	case NSI_CONTAINER:
		break;
	}
	if (!service_joins(pamh, name)) {
		if (!(flags & PAM_SILENT))
			pam_error(pamh, "You can log in here by ssh only.");
		return PAM_SESSION_ERR;
	}
	return open_container(pamh, flags, &user, &decision);
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
	pam_syslog(pamh, LOG_INFO, "user=%s session closed", login->user);
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

	if (nsi_session_join(login->session, &err) == 0)
		return;
	pam_syslog(pamh, LOG_ERR, "reason=%s user=%s refused: %s", err.reason, login->user,
		nsi_error_text(&err, text, sizeof(text)));
	_exit(REFUSED);
}

EXPORT int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	const void *data = NULL;

	(void)argc, (void)argv;
	if (flags & PAM_DELETE_CRED)
		return PAM_IGNORE;
	if (pam_get_data(pamh, DATA_SESSION, &data) != PAM_SUCCESS || !data) {
		/* Before the session: leave word that this hook is in place. */
		static char hooked;

		return pam_set_data(pamh, DATA_HOOKED, &hooked, NULL) == PAM_SUCCESS ? PAM_IGNORE
										     : PAM_CRED_ERR;
	}
	const struct login *login = data;
	if (login->owner == getpid())
		return PAM_IGNORE;
	join_or_end(pamh, (struct login *)(uintptr_t)login);
	/* Runs forget_login() for this process: no descriptor of the host stays open in it. */
	if (pam_set_data(pamh, DATA_SESSION, NULL, NULL) != PAM_SUCCESS)
		_exit(REFUSED);
	return PAM_IGNORE;
}
