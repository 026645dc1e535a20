#include "shared.h"

#include "../base/str.h"
#include "../parse/mounts.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>

enum { PATH_SIZE = 1024, NAME_SIZE = 256 };

bool nsi_rule_personal(const struct nsi_rule *rule)
{
	if (!rule->rootfs) /* in memory: a directory for each user */
		return true;
	for (const char *p = strchr(rule->rootfs, '%'); p; p = strchr(p + 2, '%'))
		if (p[1] != '%')
			return true;
	return false;
}

bool nsi_rule_only(const struct nsi_rule *rule, const char *name)
{
	for (const char **p = rule->users; p && *p; p++)
		if (strcmp(*p, name) != 0)
			return false;
	return rule->users != NULL;
}

static bool lists(const struct nsi_rule *rule, const char *name)
{
	for (const char **p = rule->users; p && *p; p++)
		if (strcmp(*p, name) == 0 || strcmp(*p, "*") == 0)
			return true;
	return rule->users == NULL;
}

static bool is_constant_path(const struct nsi_rule *rule, const char *path)
{
	char normal[PATH_SIZE];

	return !nsi_rule_personal(rule) && nsi_normal_path(rule->rootfs, normal, sizeof(normal)) &&
	       strcmp(normal, path) == 0;
}

/* ------------------------------------------------------------------ whose a path is by a pattern */

/* How much of the text stands for %u, where it goes on with `rest` and then with another part, or ends. */
static size_t length(const char *text, const char *rest)
{
	size_t literal = strcspn(rest, "%/"), len = 1;

	for (; text[len - 1] && text[len - 1] != '/'; len++) {
		const char *after = text + len + literal;

		if (strncmp(text + len, rest, literal) == 0 &&
			(rest[literal] == '%' || *after == rest[literal]))
			return len;
	}
	return 0;
}

/* The first %u or %U of it; false where the path is none of the pattern's. */
static bool whose(const char *pattern, const char *path, char who[NAME_SIZE], bool *ret_number)
{
	const char *p = pattern, *at = path;

	for (; *p == *at && *p && (*p != '%' || p[1] == '%'); p++, at++)
		p += *p == '%';
	if (*p != '%' || !strchr("uU", p[1]))
		return false;
	size_t len = length(at, p + 2);
	if (len == 0 || len >= NAME_SIZE)
		return false;
	snprintf(who, NAME_SIZE, "%.*s", (int)len, at);
	*ret_number = p[1] == 'U';
	return true;
}

static int look_up(const char *who, bool number, struct nsi_user *ret, struct nsi_error *err)
{
	struct passwd pw, *found = NULL;
	unsigned long long uid;
	char buf[16384];

	if (!number)
		return nsi_user_lookup(who, ret, err);
	if (!nsi_parse_number(who, 0, UINT32_MAX, &uid))
		return -ENOENT;
	int r = getpwuid_r((uid_t)uid, &pw, buf, sizeof(buf), &found);
	if (r != 0 || !found)
		return r ? nsi_fail(err, r, "looking up uid", who, NULL) : -ENOENT;
	return nsi_user_lookup(pw.pw_name, ret, err);
}

/* 1: there is such a user, whose the directory is too. */
static int is_anothers(const struct nsi_policy *policy, int k, const struct nsi_user *user, const char *path,
	struct nsi_error *err)
{
	const struct nsi_rule *rule = &policy->rules[k];
	char pattern[PATH_SIZE], who[NAME_SIZE], normal[PATH_SIZE];
	struct nsi_decision theirs = {0};
	struct nsi_user other = {0};
	int matched = -1;
	bool number;

	if (!rule->rootfs || !nsi_normal_path(rule->rootfs, pattern, sizeof(pattern)) ||
		!whose(pattern, path, who, &number) || (!number && !lists(rule, who)))
		return 0;
	int r = look_up(who, number, &other, err);
	if (r < 0 || other.uid == user->uid)
		return r == -ENOENT ? 0 : r;
	r = nsi_policy_match(policy, &other, &theirs, &matched, err);
	if (r < 0) /* refused as it is, or not to be known */
		return strcmp(err->reason, "policy") == 0 ? 0 : r;
	return matched == k && nsi_normal_path(theirs.rootfs, normal, sizeof(normal)) &&
	       strcmp(normal, path) == 0;
}

/* ------------------------------------------------------------------ the whole */

static int refuse(const struct nsi_policy *policy, const struct nsi_rule *rule, const char *path, int other,
	struct nsi_error *err)
{
	char also[64] = "for several users";

	if (other)
		snprintf(also, sizeof(also), "for other users, by the rule in line %d", other);
	return nsi_fail_at(err, policy->path, rule->line, 0, "put \"%u\" into it, or make it an \"image\"",
		"the rootfs %s is the same %s", path, also);
}

int nsi_policy_unshared(const struct nsi_policy *policy, int i, const struct nsi_user *user,
	const struct nsi_decision *decision, struct nsi_error *err)
{
	const struct nsi_rule *rule = &policy->rules[i];
	struct nsi_error why = {0};
	char path[PATH_SIZE];

	if (decision->userns == NSI_USERNS_OFF || !rule->rootfs ||
		!nsi_normal_path(decision->rootfs, path, sizeof(path)))
		return 0;
	if (!nsi_rule_personal(rule) && !nsi_rule_only(rule, user->name))
		return refuse(policy, rule, path, 0, err);
	for (int k = 0; k < policy->n_rules; k++) {
		const struct nsi_rule *other = &policy->rules[k];

		if (k == i)
			continue;
		if (is_constant_path(other, path) && !nsi_rule_only(other, user->name))
			return refuse(policy, rule, path, other->line, err);
		int r = is_anothers(policy, k, user, path, &why);
		if (r > 0)
			return refuse(policy, rule, path, other->line, err);
		if (r < 0) {
			if (err)
				*err = why;
			return r;
		}
	}
	return 0;
}
