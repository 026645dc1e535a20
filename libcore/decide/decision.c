/* Which rule of the policy holds for a user: the first that matches. */
#include "people.h"
#include "shared.h"

#include "../base/str.h"

#include <stdio.h>
#include <string.h>

static int user_is(const struct nsi_user *user, const char *name, struct nsi_error *err)
{
	(void)err;
	return strcmp(name, "*") == 0 || strcmp(name, user->name) == 0;
}

/* 1: one of them holds, or none is asked for; 0; or a negative errno value. */
static int any(const char **names, const struct nsi_user *user,
	int (*holds)(const struct nsi_user *, const char *, struct nsi_error *), struct nsi_error *err)
{
	int r = names ? 0 : 1;

	for (; names && *names && r == 0; names++)
		r = holds(user, *names, err);
	return r;
}

int nsi_rule_match(const struct nsi_rule *rule, const struct nsi_user *user, enum nsi_rule_fit *ret,
	struct nsi_error *err)
{
	int users = any(rule->users, user, user_is, err);
	int groups = users > 0 ? any(rule->groups, user, nsi_user_in_group, err) : 0;

	if (users < 0 || groups < 0)
		return users < 0 ? users : groups;
	*ret = users == 0 ? NSI_RULE_OTHER_USER : groups == 0 ? NSI_RULE_OTHER_GROUP : NSI_RULE_MATCHES;
	return 0;
}

static bool append(char *out, size_t size, const char *text)
{
	size_t used = strlen(out);

	return nsi_copy(out + used, size - used, text);
}

/* False when the result does not fit. */
static bool expand(const char *format, const struct nsi_user *user, char *out, size_t size)
{
	char piece[32];
	bool ok = true;

	out[0] = '\0';
	for (const char *p = format; *p && ok; p++) {
		if (*p == '%' && p[1] == 'u') {
			ok = append(out, size, user->name);
			p++;
		} else if (*p == '%' && p[1] == 'h') {
			ok = append(out, size, user->home);
			p++;
		} else if (*p == '%' && p[1] == 'U') {
			snprintf(piece, sizeof(piece), "%u", (unsigned)user->uid);
			ok = append(out, size, piece);
			p++;
		} else {
			snprintf(piece, sizeof(piece), "%c", *p);
			ok = append(out, size, piece);
			p += *p == '%' && p[1] == '%';
		}
	}
	return ok;
}

/* One directory for each image and user. */
static void name_ephemeral(const struct nsi_rule *rule, const struct nsi_user *user, struct nsi_decision *d)
{
	size_t head = sizeof(NSI_EPHEMERAL_DIR);

	snprintf(
		d->rootfs, sizeof(d->rootfs), "%s/%u%s", NSI_EPHEMERAL_DIR, (unsigned)user->uid, rule->image);
	for (char *p = d->rootfs + head; *p; p++)
		if (*p == '/')
			*p = ':';
}

static int decide_container(const struct nsi_policy *policy, const struct nsi_rule *rule,
	const struct nsi_user *user, struct nsi_decision *d, struct nsi_error *err)
{
	if (user->uid == 0)
		return nsi_fail_at(err, policy->path, rule->line, 0,
			"put { user = \"root\"; stay = \"host\"; } first",
			"the rule maps %s, who has uid 0, to a container", user->name);
	if (user->name[0] == '.' || strchr(user->name, '/'))
		return nsi_fail_at(
			err, policy->path, rule->line, 0, NULL, "the user name cannot be part of a path");
	d->verdict = NSI_CONTAINER;
	if (rule->image && !rule->rootfs)
		name_ephemeral(rule, user, d);
	if ((rule->rootfs && !expand(rule->rootfs, user, d->rootfs, sizeof(d->rootfs))) ||
		(rule->image && !expand(rule->image, user, d->image, sizeof(d->image))) ||
		(rule->config && !expand(rule->config, user, d->config, sizeof(d->config))) ||
		!expand(rule->options.mount_limits, user, d->mount_limits, sizeof(d->mount_limits)))
		return nsi_fail_at(err, policy->path, rule->line, 0, NULL, "a path of it is too long");
	return 0;
}

/* *ret_asked: whether it took a group's not having the user. */
static int match(const struct nsi_policy *policy, const struct nsi_user *user,
	struct nsi_decision *ret_decision, int *ret_rule, bool *ret_asked, struct nsi_error *err)
{
	struct nsi_decision d = {0};
	enum nsi_rule_fit matches;
	int res;

	for (int i = 0; i < policy->n_rules; i++) {
		const struct nsi_rule *rule = &policy->rules[i];

		/* Not to know is not the same as no: that could be a login on the host. */
		if ((res = nsi_rule_match(rule, user, &matches, err)) < 0)
			return res;
		*ret_asked |= matches == NSI_RULE_OTHER_GROUP;
		if (matches != NSI_RULE_MATCHES)
			continue;
		d = rule->options;
		d.line = rule->line;
		d.verdict = rule->stay ? NSI_STAY : NSI_DENY;
		if (rule->deny && !expand(rule->deny, user, d.text, sizeof(d.text)))
			snprintf(d.text, sizeof(d.text), "No container is set up for you.");
		if ((rule->rootfs || rule->image) && decide_container(policy, rule, user, &d, err) < 0)
			return nsi_error_reason(err, "policy");
		*ret_decision = d;
		*ret_rule = i;
		return 0;
	}
	d.verdict = policy->unmapped_denied ? NSI_DENY : NSI_STAY;
	snprintf(d.text, sizeof(d.text), "No container is set up for %.100s.", user->name);
	*ret_decision = d;
	*ret_rule = -1;
	return 0;
}

int nsi_policy_match(const struct nsi_policy *policy, const struct nsi_user *user,
	struct nsi_decision *ret_decision, int *ret_rule, struct nsi_error *err)
{
	bool asked = false;

	return match(policy, user, ret_decision, ret_rule, &asked, err);
}

/* Of the rules before `end` that are for the user, but for the group. */
static int check_groups(
	const struct nsi_policy *policy, int end, const struct nsi_user *user, struct nsi_error *err)
{
	int r = 0;

	for (int i = 0; r == 0 && i < end; i++)
		if (any(policy->rules[i].users, user, user_is, err) > 0)
			for (const char **name = policy->rules[i].groups; r == 0 && name && *name; name++)
				r = nsi_group_known(*name, err);
	return r;
}

/*
 * A name service that could not even open its file says "no such group", once another one after it in
 * nsswitch.conf says so; and nscd(8) says it for any that does not answer. Such a word is not enough for the
 * host: it must be said twice, the second time by the services themselves, with all that it takes at hand.
 * And one that asks another host and has lost it (SSSD) says it of groups that it has not kept: with such
 * services a group that there is not is no answer.
 */
static int confirm(const struct nsi_policy *policy, const struct nsi_user *user, const struct nsi_decision *d,
	struct nsi_error *err)
{
	struct nsi_decision again = {0};
	struct nsi_user afresh = {0};
	bool asked = false, remote = false;
	int rule = -1;
	int r = nsi_user_afresh(user, &afresh, &remote, err);

	if (r == 0)
		r = match(policy, &afresh, &again, &rule, &asked, err);
	if (r == 0 && remote)
		r = check_groups(policy, rule < 0 ? policy->n_rules : rule, user, err);
	if (r < 0 || (again.verdict == d->verdict && again.line == d->line))
		return r;
	nsi_failf(err, EAGAIN, "looking up groups of", user->name,
		"are the name services of the host in order?", "they say one time no, one time yes");
	return nsi_error_reason(err, "group");
}

int nsi_policy_user(
	const struct nsi_policy *policy, const char *name, struct nsi_user *ret_user, struct nsi_error *err)
{
	for (int i = 0; i < policy->n_rules; i++)
		if (policy->rules[i].groups)
			return nsi_user_lookup(name, ret_user, err);
	return nsi_user_lookup_alone(name, ret_user, err);
}

int nsi_policy_decide(const struct nsi_policy *policy, const struct nsi_user *user,
	struct nsi_decision *ret_decision, struct nsi_error *err)
{
	struct nsi_decision d = {0};
	bool asked = false;
	int rule;
	int r = match(policy, user, &d, &rule, &asked, err);

	if (r == 0 && d.verdict == NSI_STAY && asked)
		r = confirm(policy, user, &d, err);
	if (r == 0 && d.verdict == NSI_CONTAINER &&
		(r = nsi_policy_unshared(policy, rule, user, &d, err)) < 0 && err && !err->reason[0])
		nsi_error_reason(err, "policy");
	if (r == 0)
		*ret_decision = d;
	return r;
}

enum nsi_service_mode nsi_policy_service(const struct nsi_policy *policy, const char *service)
{
	static const struct nsi_service usual[] = {{"sshd", NSI_SERVICE_SPLIT}, {"login", NSI_SERVICE_SHELL},
		{"su", NSI_SERVICE_JOIN}, {"su-l", NSI_SERVICE_JOIN}, {"sudo", NSI_SERVICE_JOIN},
		{"sudo-i", NSI_SERVICE_JOIN}, {"runuser", NSI_SERVICE_JOIN}, {"runuser-l", NSI_SERVICE_JOIN},
		{"cron", NSI_SERVICE_JOIN}, {"crond", NSI_SERVICE_JOIN}};

	for (int i = 0; i < policy->n_services; i++)
		if (strcmp(policy->services[i].name, service) == 0)
			return policy->services[i].mode;
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		if (strcmp(usual[i].name, service) == 0)
			return usual[i].mode;
	return NSI_SERVICE_DENY;
}
