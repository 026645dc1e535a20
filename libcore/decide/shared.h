/* One root directory, one user: as far as the policy tells. */
#ifndef NSINIT_SHARED_H
#define NSINIT_SHARED_H

#include "../parse/policy.h"

/*
 * Refuse a decision by rule number `rule` whose root directory is, by that rule or by another, somebody
 * else's too. Only without a user namespace may several users have one. May look a user up.
 */
int nsi_policy_unshared(const struct nsi_policy *policy, int rule, const struct nsi_user *user,
	const struct nsi_decision *decision, struct nsi_error *err);

/* Whether the rule gives each user a directory of their own; whether nobody but `name` can match it. */
bool nsi_rule_personal(const struct nsi_rule *rule);
bool nsi_rule_only(const struct nsi_rule *rule, const char *name);

enum nsi_rule_fit { NSI_RULE_MATCHES, NSI_RULE_OTHER_USER, NSI_RULE_OTHER_GROUP };

/*
 * Whether the rule is one for the user, or whom else it is for. Asks the name services for groups; their not
 * answering is an error.
 */
int nsi_rule_match(const struct nsi_rule *rule, const struct nsi_user *user, enum nsi_rule_fit *ret,
	struct nsi_error *err);

/* The decision without that question; the number of the rule in *ret_rule, -1 where none matches. */
int nsi_policy_match(const struct nsi_policy *policy, const struct nsi_user *user,
	struct nsi_decision *ret_decision, int *ret_rule, struct nsi_error *err);

#endif
