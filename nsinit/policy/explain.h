/* What `nsinit explain` has found out: cmd_explain.c does, explain_text.c and explain_json.c tell. */
#ifndef NSINIT_EXPLAIN_H
#define NSINIT_EXPLAIN_H

#include "../../libcore/decide/shared.h"

struct explanation {
	const struct nsi_policy *policy;
	const char *path; /* of the policy */
	struct nsi_user user;
	struct nsi_decision decision;
	/* Of the rules, in their order, up to the one that holds, or all of them. */
	int n_tried;
	enum nsi_rule_fit *tried;
	/* How a service would bring the user in. */
	const char *service;
	enum nsi_service_mode mode;
	const char *obstacle; /* why it would be refused all the same; NULL: it would not */
	bool no_terminal;     /* with a terminal it would: nobody could record it */
};

void explain_in_text(const struct explanation *e);
/* The names of keys are documented in nsinit(1) and do not change. */
void explain_in_json(const struct explanation *e);

#endif
