/* nsinit check: the rules of a policy, and what of them is weak or never comes to pass. */
#include "../../libcore/act/quota.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/base/io.h"
#include "../../libcore/decide/people.h"
#include "../../libcore/parse/resources.h"
#include "../../libcore/whole/rootfs.h"
#include "check.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ which rule comes first */

static bool lists(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (strcmp(*names, name) == 0 || strcmp(*names, "*") == 0)
			return true;
	return false;
}

/* Every name of `some` is in `all`. */
static bool lists_all(const char **all, const char **some)
{
	for (; *some; some++)
		if (!lists((const char *const *)all, *some))
			return false;
	return true;
}

/* Whoever matches `later` matches `earlier`, as far as names tell. */
static bool hides(const struct nsi_rule *earlier, const struct nsi_rule *later)
{
	bool users = !earlier->users || lists((const char *const *)earlier->users, "*") ||
		     (later->users && lists_all(earlier->users, later->users));
	bool groups = !earlier->groups || (later->groups && lists_all(earlier->groups, later->groups));

	return users && groups;
}

static void judge_order(struct check_rules *rules, struct check_warnings *w)
{
	for (int i = 0; i < rules->policy->n_rules; i++) {
		struct check_rule *r = &rules->list[i];

		for (int k = 0; k < i && !r->hidden_by; k++)
			if (hides(rules->list[k].rule, r->rule))
				r->hidden_by = rules->list[k].rule->line;
		w->line = r->rule->line;
		if (r->hidden_by)
			check_warn(w, "rule-never-reached", "put it first, or remove it",
				"the rule is never reached: the one in line %d matches all of its users "
				"before",
				r->hidden_by);
	}
	w->line = 0;
}

/* Root must be able to come in whatever else is wrong. */
static void judge_root(const struct nsi_policy *policy, struct check_warnings *w)
{
	static const char remedy[] = "put { user = \"root\"; stay = \"host\"; } first";
	struct nsi_decision decision;
	struct nsi_user root;
	struct nsi_error err = {0};
	int r = nsi_user_lookup("root", &root, &err);

	if (r == 0)
		r = nsi_policy_decide(policy, &root, &decision, &err);
	if (r == 0 && decision.verdict == NSI_STAY)
		return;
	check_warn(w, "no-way-for-root", remedy, "root could not log in to repair what is wrong: %s",
		r < 0 ? err.cause : decision.text);
}

/* ------------------------------------------------------------------ what is weak */

/* Where its container.json lies, unless "config" says otherwise. */
static const char *directory(const struct nsi_rule *rule)
{
	return rule->image ? rule->image : rule->rootfs;
}

/* A limit of each session that all of them together cannot reach. */
static void judge_session_limits(const struct nsi_decision *d, struct check_warnings *w)
{
	char each[48], all[48];

	for (int i = 0; i < NSI_LIMITS; i++) {
		enum nsi_limit limit = (enum nsi_limit)i;

		if (!nsi_limit_set(&d->session_limits, limit) || !nsi_limit_set(&d->limits, limit) ||
			!nsi_limit_exceeds(&d->session_limits, &d->limits, limit))
			continue;
		check_warn(w, "session-limits", "lower it, or remove it",
			"session_limits: %s=%s is more than the %s that \"limits\" gives the whole container",
			nsi_limit_file(limit), nsi_limit_text(&d->session_limits, limit, each, sizeof(each)),
			nsi_limit_text(&d->limits, limit, all, sizeof(all)));
	}
}

static void judge_options(const struct nsi_rule *rule, struct check_warnings *w)
{
	const struct nsi_decision *d = &rule->options;

	if (!directory(rule))
		return;
	if (d->userns == NSI_USERNS_OFF)
		check_warn(w, "no-user-namespace", "say userns = \"auto\"",
			"userns = \"off\": root of the container is root of the host");
	if (d->network.host)
		check_warn(w, "host-network-allowed", "remove \"host_network\" from \"limits\"",
			"a container.json may ask for the host's own network");
	if (d->lifetime == NSI_LIFETIME_FOREVER && !d->max_age)
		check_warn(w, "no-end", "give it a max_age, or lifetime = \"linger\"",
			"lifetime = \"forever\" without max_age: what runs inside never ends");
	judge_session_limits(d, w);
}

static void judge_groups(const struct nsi_rule *rule, struct check_warnings *w)
{
	struct nsi_error err = {0};

	for (const char **name = rule->groups; name && *name; name++)
		if (nsi_group_known(*name, &err) < 0)
			check_warn(w, "group-unknown", err.hint,
				"group %s: %s; who would stay on the host without it may be refused", *name,
				err.cause);
}

/* What a recorded user meets, and what becomes of the recordings. */
static void judge_recording(
	const struct nsi_policy *policy, const struct nsi_rule *rule, struct check_warnings *w)
{
	struct nsi_error err = {0};
	cleanup_fd int fd = -1;

	if (!directory(rule) || !rule->options.recording.tty)
		return;
	check_warn(w, "record-refuses", "none, if that is meant",
		"record = \"tty\": su, sudo and the like are refused at a terminal, which nobody could "
		"record");
	if (!policy->records.days && !policy->records.total)
		check_warn(w, "records-kept",
			"say record_age or record_total, and have \"nsinit records prune\" run daily",
			"recordings are kept without end");
	if (geteuid() == 0 &&
		nsi_open_trusted(policy->records.dir, O_PATH | O_DIRECTORY, &fd, NULL, &err) == -EPERM)
		check_warn_error(w, "record-dir", "its users would be refused", &err);
}

static void judge_top(const struct nsi_policy *policy, struct check_warnings *w)
{
	if (!policy->unmapped_denied)
		check_warn(w, "unmapped-host",
			"say unmapped = \"deny\", with rules for all who are to stay on the host",
			"unmapped = \"host\": whom no rule matches gets the host");
	for (int i = 0; i < policy->n_services; i++)
		if (policy->services[i].mode == NSI_SERVICE_DENY)
			check_warn(w, "service-denied",
				"none, if that is meant; else remove it from \"services\"",
				"%s is refused to everybody who has a container", policy->services[i].name);
}

/* ------------------------------------------------------------------ the containers */

/* The user of the rule, where it is one whom the host knows; else one who stands for all. */
static void stand_in(const struct nsi_rule *rule, struct nsi_user *user)
{
	bool one = rule->users && rule->users[0] && !rule->users[1] && strcmp(rule->users[0], "*") != 0;

	if (one && nsi_user_lookup(rule->users[0], user, NULL) == 0 && user->uid != 0)
		return;
	*user = (struct nsi_user){
		.name = "USER", .uid = 1000, .gid = 1000, .home = "/home/USER", .shell = "/bin/sh"};
}

/* What the policy would decide for the user if this were the only rule. */
static int decide(const struct check_rules *rules, const struct nsi_rule *rule, struct nsi_login *login,
	struct nsi_error *err)
{
	const char *users[] = {login->user.name, NULL};
	struct nsi_rule only = *rule;
	struct nsi_policy policy = {.rules = &only, .n_rules = 1};

	only.users = users;
	only.groups = NULL;
	snprintf(policy.path, sizeof(policy.path), "%s", rules->policy->path);
	stand_in(rule, &login->user);
	return nsi_policy_decide(&policy, &login->user, &login->decision, err);
}

/* With an image its files are the container's; the directory of a user's changes may not be there yet. */
static int open_directory(const struct nsi_decision *d, int *ret_fd, struct nsi_error *err)
{
	if (d->image[0])
		return nsi_open_trusted(d->image, O_PATH | O_DIRECTORY, ret_fd, NULL, err);
	return nsi_rootfs_open(d, ret_fd, err);
}

/* The directory itself may not be there yet. */
static void judge_size(const struct nsi_decision *d, struct check_warnings *w)
{
	char above[sizeof(d->rootfs)];

	if (!d->size || geteuid() != 0)
		return;
	snprintf(above, sizeof(above), "%s", d->rootfs);
	*strrchr(above, '/') = '\0';
	cleanup_fd int fd = open(above, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? 0 : nsi_quota_enforced(fd);
	if (r < 0)
		check_warn(w, "no-project-quota",
			"mount it with prjquota (ext4 needs its features quota and project), or leave "
			"\"size\" out",
			"%s: the file system holds no project to a limit (%s): %s", above,
			strerrordesc_np(-r),
			d->best_effort ? "\"size\" would be left out" : "its users would be refused");
}

static void load(const struct check_rules *rules, struct check_rule *r, struct check_warnings *w)
{
	struct nsi_login *login = calloc(1, sizeof(*login));
	struct nsi_error err = {0};
	cleanup_fd int fd = -1;

	if (!login) {
		nsi_fail(&err, ENOMEM, "checking", directory(r->rule), NULL);
		check_warn_error(w, "no-container", "its users would be refused", &err);
		return;
	}
	int res = decide(rules, r->rule, login, &err);
	if (res == 0) {
		judge_size(&login->decision, w);
		res = open_directory(&login->decision, &fd, &err);
	}
	if (res < 0) {
		free(login);
		check_warn_error(w, "no-container", "its users would be refused", &err);
		return;
	}
	if (check_load_login(fd, directory(r->rule), login->decision.config, login, &r->container, &err) <
		0) {
		check_warn_error(w, "no-container", "its users would be refused", &err);
		return;
	}
	r->loaded = true;
	check_judge_container(&r->container, w);
}

int check_load_policy(
	const char *path, struct check_rules *rules, struct check_warnings *w, struct nsi_error *err)
{
	*rules = (struct check_rules){0};
	int r = nsi_policy_load(path, &rules->policy, err);
	if (r < 0)
		return r;
	const int n = rules->policy->n_rules;
	rules->list = calloc((size_t)n + 1, sizeof(*rules->list));
	if (!rules->list)
		return nsi_fail(err, ENOMEM, "reading", path, NULL);
	for (int i = 0; i < n; i++)
		rules->list[i].rule = &rules->policy->rules[i];
	judge_top(rules->policy, w);
	judge_root(rules->policy, w);
	judge_order(rules, w);
	for (int i = 0; i < n; i++) {
		struct check_rule *rule = &rules->list[i];
		const char *dir = directory(rule->rule);

		w->line = rule->rule->line;
		judge_options(rule->rule, w);
		judge_groups(rule->rule, w);
		judge_recording(rules->policy, rule->rule, w);
		check_judge_overlaps(rules, i, w);
		if (dir && !strchr(dir, '%') && !(rule->rule->config && strchr(rule->rule->config, '%')))
			load(rules, rule, w);
	}
	w->line = 0;
	return 0;
}

void check_rules_free(struct check_rules *rules)
{
	for (int i = 0; rules->policy && rules->list && i < rules->policy->n_rules; i++)
		check_container_free(&rules->list[i].container);
	free(rules->list);
	nsi_policy_free(rules->policy);
	*rules = (struct check_rules){0};
}
