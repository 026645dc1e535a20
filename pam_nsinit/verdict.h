/* What the module's arguments and the policy say of a login, before anything is opened. */
#ifndef NSINIT_VERDICT_H
#define NSINIT_VERDICT_H

#include "../libcore/nsinit.h"

#include <security/pam_modules.h>

struct arguments {
	const char *policy;
	const char *exempt; /* a group that is let in where the policy cannot be loaded; NULL: nobody is */
	bool debug;
};

struct verdict {
	struct nsi_user user;
	struct nsi_decision decision;
	enum nsi_service_mode mode;
};

/* False, and said so in the log, where there is one that the module does not know. */
bool verdict_arguments(pam_handle_t *pamh, int argc, const char **argv, struct arguments *ret);

/* `nsinit disable`: whoever logs in is let onto the host, and the log has it. */
bool verdict_disabled(pam_handle_t *pamh, const char *name);

/* Load the policy and ask it; *ret_loaded: it could be loaded. */
int verdict_decide(const char *path, const char *name, const char *service, struct verdict *v,
	bool *ret_loaded, struct nsi_error *err);

/* With exempt=GROUP, a policy that cannot be loaded keeps neither root nor the group's members out. */
bool verdict_exempted(pam_handle_t *pamh, const char *group, const char *name, const struct nsi_error *why);

#endif
