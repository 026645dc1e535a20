#include "verdict.h"

#include "log.h"

#include <security/pam_ext.h>
#include <string.h>
#include <syslog.h>

bool verdict_arguments(pam_handle_t *pamh, int argc, const char **argv, struct arguments *args)
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
			module_log(pamh, LOG_ERR, "reason=argument unknown module argument \"%s\"", argv[i]);
			return false;
		}
	}
	return true;
}

bool verdict_disabled(pam_handle_t *pamh, const char *name)
{
	unsigned seconds = nsi_disabled_seconds();

	if (seconds > 0)
		module_log(pamh, LOG_WARNING,
			"reason=disabled user=%s let onto the host: nsinit is disabled for another %u s",
			name, seconds);
	return seconds > 0;
}

bool verdict_exempted(pam_handle_t *pamh, const char *group, const char *name, const struct nsi_error *why)
{
	struct nsi_error err = {0};
	struct nsi_user user;
	char text[2048];

	if (!group || nsi_user_lookup(name, &user, &err) < 0 ||
		(user.uid != 0 && nsi_user_in_group(&user, group, &err) != 1))
		return false;
	module_log(pamh, LOG_ALERT, "reason=exempt user=%s let onto the host, there is no policy: %s", name,
		nsi_error_text(why, text, sizeof(text)));
	return true;
}

int verdict_decide(const char *path, const char *name, const char *service, struct verdict *v,
	bool *ret_loaded, struct nsi_error *err)
{
	struct nsi_policy *policy = NULL;
	int r = nsi_policy_load(path, &policy, err);

	*ret_loaded = r == 0;
	if (r == 0)
		r = nsi_policy_user(policy, name, &v->user, err);
	if (r == 0)
		r = nsi_policy_decide(policy, &v->user, &v->decision, err);
	if (r == 0)
		v->mode = nsi_policy_service(policy, service);
	nsi_policy_free(policy);
	return r;
}
