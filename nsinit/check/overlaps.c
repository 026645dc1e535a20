/* nsinit check: root directories and images of a policy that are, or lie in, each other. */
#include "../../libcore/decide/shared.h"
#include "../../libcore/parse/mounts.h"
#include "check.h"

#include <string.h>

/* ------------------------------------------------------------------ paths with patterns */

/*
 * Whether two parts of a path can be the same for two users. "%u" against a name: if there is such a user.
 * Others cannot be told here; a start that finds it so is refused.
 */
static bool can_be_same(const char *a, size_t a_len, const char *b, size_t b_len)
{
	const char *name = a, *pattern = b;
	size_t name_len = a_len, pattern_len = b_len;
	struct nsi_user user;
	char text[256];

	if (!memchr(a, '%', a_len) && !memchr(b, '%', b_len))
		return a_len == b_len && memcmp(a, b, a_len) == 0;
	if (memchr(a, '%', a_len)) {
		name = b, name_len = b_len;
		pattern = a, pattern_len = a_len;
	}
	if (memchr(name, '%', name_len) || pattern_len != 2 || memcmp(pattern, "%u", 2) != 0 ||
		name_len >= sizeof(text))
		return false;
	memcpy(text, name, name_len);
	text[name_len] = '\0';
	return nsi_user_lookup(text, &user, NULL) == 0;
}

/* Whether `inner` is the directory `outer` (`itself`), or below it. */
static bool holds(const char *outer, const char *inner, bool itself)
{
	while (*outer && *inner) {
		size_t outer_len = strcspn(outer + 1, "/"), inner_len = strcspn(inner + 1, "/");

		if (!can_be_same(outer + 1, outer_len, inner + 1, inner_len))
			return false;
		outer += 1 + outer_len;
		inner += 1 + inner_len;
	}
	return !*outer && (*inner || itself);
}

/* Of two rules, or of one: there what is the same pattern is the same for each user. */
static bool lies_in(const char *outer, const char *inner, bool itself, bool one_rule)
{
	char a[1024], b[1024];

	if (!outer || !inner || !nsi_normal_path(outer, a, sizeof(a)) ||
		!nsi_normal_path(inner, b, sizeof(b)))
		return false;
	return holds(a, b, itself) || (one_rule && nsi_path_below(b, a) && (itself || strcmp(a, b) != 0));
}

/* ------------------------------------------------------------------ rules */

static bool is_one_user(const struct nsi_rule *rule)
{
	return rule->users && rule->users[0] && strcmp(rule->users[0], "*") != 0 &&
	       nsi_rule_only(rule, rule->users[0]);
}

static bool is_same_user(const struct nsi_rule *a, const struct nsi_rule *b)
{
	return is_one_user(a) && is_one_user(b) && strcmp(a->users[0], b->users[0]) == 0;
}

static void judge_users(const struct nsi_rule *rule, struct check_warnings *w)
{
	if (rule->rootfs && !nsi_rule_personal(rule) && !is_one_user(rule) &&
		rule->options.userns != NSI_USERNS_OFF)
		check_warn(w, "rootfs-of-several-users", "put \"%u\" into it, or make it an \"image\"",
			"its rootfs, %s, is the same for several users, who would be refused", rule->rootfs);
}

static void judge_same(const struct nsi_rule *rule, const struct nsi_rule *other, struct check_warnings *w)
{
	bool off = rule->options.userns == NSI_USERNS_OFF && other->options.userns == NSI_USERNS_OFF;
	char a[1024], b[1024];

	if (!rule->rootfs || !other->rootfs || strchr(rule->rootfs, '%') || is_same_user(rule, other) ||
		!nsi_normal_path(rule->rootfs, a, sizeof(a)) ||
		!nsi_normal_path(other->rootfs, b, sizeof(b)) || strcmp(a, b) != 0)
		return;
	check_warn(w, "rootfs-of-two-rules", "give each rule a directory, or merge the rules",
		"the rule in line %d has the same rootfs, %s: %s", other->line, a,
		off ? "the settings of whoever comes first hold for both"
		    : "the users of both would be refused");
}

static void warn_nested(
	const char *what, const char *inner, const char *outer, int line, struct check_warnings *w)
{
	check_warn(w, "rootfs-in-another", "give each rule and each image a directory beside the others",
		"its %s, %s, is or lies in %s of the rule in line %d: while one is in use, the other would "
		"be "
		"refused",
		what, inner, outer, line);
}

static void judge_nested(const struct nsi_rule *rule, const struct nsi_rule *other, struct check_warnings *w)
{
	bool one = rule == other;

	if (!one && lies_in(other->rootfs, rule->rootfs, false, one))
		warn_nested("rootfs", rule->rootfs, other->rootfs, other->line, w);
	if (lies_in(other->image, rule->rootfs, true, one))
		warn_nested("rootfs", rule->rootfs, other->image, other->line, w);
	if (lies_in(other->rootfs, rule->image, true, one))
		warn_nested("image", rule->image, other->rootfs, other->line, w);
	if (!one && lies_in(other->image, rule->image, false, one))
		warn_nested("image", rule->image, other->image, other->line, w);
}

void check_judge_overlaps(const struct check_rules *rules, int i, struct check_warnings *w)
{
	const struct nsi_rule *rule = rules->list[i].rule;

	judge_users(rule, w);
	for (int k = 0; k < rules->policy->n_rules; k++) {
		if (k < i)
			judge_same(rule, rules->list[k].rule, w);
		judge_nested(rule, rules->list[k].rule, w);
	}
}
