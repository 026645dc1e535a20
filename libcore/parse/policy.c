/*
 * The policy, /etc/nsinit/nsinit.conf. libconfig parses; what is said here is which settings exist, and which
 * rule holds for a user: the first that matches.
 */
#include "../base/cleanup.h"
#include "../base/error.h"
#include "../base/io.h"
#include "../base/str.h"

#include <fcntl.h>
#include <grp.h>
#include <libconfig.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

enum { MAX_BYTES = 256 * 1024 };

struct rule {
	int line;
	const config_setting_t *user, *group; /* a string or a list of strings; NULL: not asked for */
	bool stay;
	const char *deny, *rootfs; /* owned by libconfig */
	struct nsi_decision options;
};

struct nsi_policy {
	config_t config;
	char path[1024];
	bool unmapped_denied;
	struct rule *rules;
	int n_rules;
};

struct reader {
	struct nsi_policy *policy;
	struct nsi_error *err;
};

static int fault(struct reader *r, const config_setting_t *at, const char *hint, const char *what)
{
	return nsi_fail_at(
		r->err, r->policy->path, at ? (int)config_setting_source_line(at) : 0, 0, hint, "%s", what);
}

static const char *const top_names[] = {"version", "unmapped", "defaults", "rules", NULL};
static const char *const option_names[] = {"userns", "lifetime", "home", "tty", "accounts", "dns", NULL};
static const char *const rule_names[] = {"user", "group", "stay", "deny", "rootfs", "userns", "lifetime",
	"home", "tty", "accounts", "dns", NULL};

static int check_names(struct reader *r, const config_setting_t *group, const char *const *names)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *entry = config_setting_get_elem(group, (unsigned)i);
		const char *name = config_setting_name(entry);
		const char *const *known = names;
		char hint[96] = "", what[128];

		while (*known && strcmp(*known, name) != 0)
			known++;
		if (*known)
			continue;
		const char *near = nsi_nearest(name, names);
		if (near)
			snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
		snprintf(what, sizeof(what), "unknown setting \"%.60s\"", name);
		return fault(r, entry, hint, what);
	}
	return 0;
}

/* A setting that takes one of a few words: its index in `words`, -1 when absent, or < -1 with the error set.
 */
static int read_word(
	struct reader *r, const config_setting_t *group, const char *name, const char *const *words)
{
	const config_setting_t *s = config_setting_get_member(group, name);
	char what[192], hint[64] = "";

	if (!s)
		return -1;
	const char *text = config_setting_get_string(s);
	for (int i = 0; text && words[i]; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	int n = snprintf(what, sizeof(what), "\"%s\" must be", name);
	for (int i = 0; words[i]; i++)
		n += snprintf(what + n, sizeof(what) - (size_t)n, "%s \"%s\"", i ? " or" : "", words[i]);
	const char *near = text ? nsi_nearest(text, words) : NULL;
	if (near)
		snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
	fault(r, s, hint, what);
	return -2;
}

static int read_lifetime(struct reader *r, const config_setting_t *group, int *lifetime)
{
	const config_setting_t *s = config_setting_get_member(group, "lifetime");

	if (!s)
		return 0;
	if (config_setting_type(s) == CONFIG_TYPE_INT && config_setting_get_int(s) >= 0) {
		*lifetime = config_setting_get_int(s);
		return 0;
	}
	const char *text = config_setting_get_string(s);
	if (text && strcmp(text, "last-session") == 0)
		*lifetime = NSI_LIFETIME_LAST_SESSION;
	else if (text && strcmp(text, "forever") == 0)
		*lifetime = NSI_LIFETIME_FOREVER;
	else
		return fault(r, s, NULL,
			"\"lifetime\" must be \"last-session\", \"forever\" or a number of seconds");
	return 0;
}

static int read_options(struct reader *r, const config_setting_t *group, struct nsi_decision *options)
{
	static const char *const userns[] = {"auto", "off", NULL}, *const home[] = {"bind", "none", NULL};
	static const char *const tty[] = {"container", NULL}, *const accounts[] = {"auto", "image", NULL};
	static const char *const dns[] = {"image", "host", NULL};
	int word;

	if ((word = read_word(r, group, "userns", userns)) < -1)
		return -EINVAL;
	if (word >= 0)
		options->userns = (enum nsi_userns)word;
	if ((word = read_word(r, group, "home", home)) < -1)
		return -EINVAL;
	if (word >= 0)
		options->home = (enum nsi_home)word;
	if ((word = read_word(r, group, "accounts", accounts)) < -1)
		return -EINVAL;
	if (word >= 0)
		options->accounts = (enum nsi_accounts)word;
	if ((word = read_word(r, group, "dns", dns)) < -1)
		return -EINVAL;
	if (word >= 0)
		options->dns = (enum nsi_dns)word;
	if (read_word(r, group, "tty", tty) < -1)
		return -EINVAL;
	return read_lifetime(r, group, &options->lifetime);
}

static int read_names(
	struct reader *r, const config_setting_t *rule, const char *name, const config_setting_t **ret)
{
	const config_setting_t *s = config_setting_get_member(rule, name);

	*ret = s;
	if (!s || config_setting_type(s) == CONFIG_TYPE_STRING)
		return 0;
	int n = config_setting_is_aggregate(s) && !config_setting_is_group(s) ? config_setting_length(s) : 0;
	for (int i = 0; i < n; i++)
		if (!config_setting_get_string_elem(s, i))
			n = 0;
	return n > 0 ? 0 : fault(r, s, NULL, "\"user\" and \"group\" must be a name or a list of names");
}

/* The path, as text: what it expands to is checked when it is opened. */
static int check_rootfs(struct reader *r, const config_setting_t *s, const char *path)
{
	char what[96];

	if (path[0] != '/')
		return fault(r, s, NULL, "\"rootfs\" must be an absolute path");
	for (const char *p = strchr(path, '%'); p; p = strchr(p + 2, '%')) {
		if (p[1] && strchr("uhU%", p[1]))
			continue;
		snprintf(what, sizeof(what), "\"%%%c\" in \"rootfs\" is unknown", p[1] ? p[1] : ' ');
		return fault(
			r, s, "%u is the user, %U the uid, %h the home directory, %% a percent sign", what);
	}
	return 0;
}

static int read_rule(
	struct reader *r, const config_setting_t *s, const struct nsi_decision *defaults, struct rule *rule)
{
	const config_setting_t *stay = config_setting_get_member(s, "stay");
	const config_setting_t *deny = config_setting_get_member(s, "deny");
	const config_setting_t *rootfs = config_setting_get_member(s, "rootfs");
	static const char *const host[] = {"host", NULL};

	if (!config_setting_is_group(s))
		return fault(r, s, NULL, "a rule must be a group: { ... }");
	*rule = (struct rule){.line = (int)config_setting_source_line(s), .options = *defaults};
	if (check_names(r, s, rule_names) < 0 || read_names(r, s, "user", &rule->user) < 0 ||
		read_names(r, s, "group", &rule->group) < 0 || read_options(r, s, &rule->options) < 0)
		return -EINVAL;
	if (!rule->user && !rule->group)
		return fault(r, s, "user = \"*\" holds for everybody", "a rule needs \"user\" or \"group\"");
	if ((stay != NULL) + (deny != NULL) + (rootfs != NULL) != 1)
		return fault(r, s, NULL, "a rule needs exactly one of \"rootfs\", \"stay\" and \"deny\"");
	if (stay && read_word(r, s, "stay", host) < 0)
		return -EINVAL;
	rule->stay = stay != NULL;
	if (deny && !(rule->deny = config_setting_get_string(deny)))
		return fault(r, deny, NULL, "\"deny\" must be a sentence");
	if (rootfs && !(rule->rootfs = config_setting_get_string(rootfs)))
		return fault(r, rootfs, NULL, "\"rootfs\" must be a path");
	return rootfs ? check_rootfs(r, rootfs, rule->rootfs) : 0;
}

static int read_rules(struct reader *r, const config_setting_t *rules, const struct nsi_decision *defaults)
{
	int n = config_setting_length(rules);

	if (config_setting_type(rules) != CONFIG_TYPE_LIST)
		return fault(r, rules, NULL, "\"rules\" must be a list: ( { ... }, { ... } )");
	r->policy->rules = calloc((size_t)n + 1, sizeof(struct rule));
	if (!r->policy->rules)
		return nsi_fail(r->err, ENOMEM, "reading", r->policy->path, NULL);
	for (int i = 0; i < n; i++) {
		int res = read_rule(
			r, config_setting_get_elem(rules, (unsigned)i), defaults, &r->policy->rules[i]);

		if (res < 0)
			return res;
		r->policy->n_rules++;
	}
	return 0;
}

static int read_top(struct reader *r)
{
	static const char *const unmapped_words[] = {"host", "deny", NULL};
	struct nsi_decision options = {.lifetime = NSI_LIFETIME_LAST_SESSION};
	const config_setting_t *root = config_root_setting(&r->policy->config);
	const config_setting_t *version = config_setting_get_member(root, "version");
	const config_setting_t *defaults = config_setting_get_member(root, "defaults");
	const config_setting_t *rules = config_setting_get_member(root, "rules");
	int word, res;

	res = check_names(r, root, top_names);
	if (res < 0)
		return res;
	if (!version || config_setting_type(version) != CONFIG_TYPE_INT ||
		config_setting_get_int(version) != 1)
		return fault(r, version, NULL, "\"version = 1;\" is required");
	word = read_word(r, root, "unmapped", unmapped_words);
	if (word < -1)
		return -EINVAL;
	if (word == -1)
		return fault(r, NULL, "say what happens to users without a rule",
			"\"unmapped\" is required: \"host\" or \"deny\"");
	r->policy->unmapped_denied = word == 1;
	if (defaults) {
		if (!config_setting_is_group(defaults))
			return fault(r, defaults, NULL, "\"defaults\" must be a group: { ... }");
		if (check_names(r, defaults, option_names) < 0 || read_options(r, defaults, &options) < 0)
			return -EINVAL;
	}
	if (!rules)
		return fault(r, NULL, NULL, "\"rules\" is required");
	return read_rules(r, rules, &options);
}

/* libconfig would read included files without any check of who owns them. */
static int refuse_include(struct reader *r, const char *text)
{
	int line = 1;

	for (const char *p = text; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL, line++)
		if (strncmp(p + strspn(p, " \t"), "@include", 8) == 0)
			return nsi_fail_at(r->err, r->policy->path, line, 0, "write the rules into this file",
				"@include is not supported");
	return 0;
}

static int parse(struct reader *r, const char *text, size_t len)
{
	if (strlen(text) != len)
		return nsi_fail_at(r->err, r->policy->path, 0, 0, NULL, "it contains a NUL byte");
	if (refuse_include(r, text) < 0)
		return -EINVAL;
	if (config_read_string(&r->policy->config, text) != CONFIG_TRUE)
		return nsi_fail_at(r->err, r->policy->path, config_error_line(&r->policy->config), 0, NULL,
			"%s", config_error_text(&r->policy->config));
	return read_top(r);
}

int nsi_policy_load(const char *path, struct nsi_policy **ret_policy, struct nsi_error *err)
{
	cleanup_free char *text = NULL;
	cleanup_fd int fd = -1;
	size_t len;
	int res;

	res = nsi_open_trusted(path, O_RDONLY, &fd, NULL, err);
	if (res == 0)
		res = nsi_read_fd(fd, path, MAX_BYTES, &text, &len, err);
	if (res == 0) {
		struct nsi_policy *policy = calloc(1, sizeof(*policy));
		struct reader r = {.policy = policy, .err = err};

		if (!policy)
			return nsi_fail(err, ENOMEM, "reading", path, NULL);
		config_init(&policy->config);
		snprintf(policy->path, sizeof(policy->path), "%s", path);
		res = parse(&r, text, len);
		if (res == 0)
			*ret_policy = policy;
		else
			nsi_policy_free(policy);
	}
	if (res < 0)
		nsi_error_reason(err, "policy");
	return res;
}

void nsi_policy_free(struct nsi_policy *policy)
{
	if (!policy)
		return;
	config_destroy(&policy->config);
	free(policy->rules);
	free(policy);
}

static bool user_is(const char *name, const struct nsi_user *user)
{
	return strcmp(name, "*") == 0 || strcmp(name, user->name) == 0;
}

static bool group_has(const char *name, const struct nsi_user *user)
{
	char buf[16384];
	struct group g, *found = NULL;

	if (getgrnam_r(name, &g, buf, sizeof(buf), &found) != 0 || !found)
		return false;
	for (int i = 0; i < user->n_groups; i++)
		if (user->groups[i] == found->gr_gid)
			return true;
	return false;
}

static bool any(const config_setting_t *names, const struct nsi_user *user,
	bool (*holds)(const char *, const struct nsi_user *))
{
	if (!names)
		return true;
	if (config_setting_type(names) == CONFIG_TYPE_STRING)
		return holds(config_setting_get_string(names), user);
	for (int i = 0; i < config_setting_length(names); i++)
		if (holds(config_setting_get_string_elem(names, i), user))
			return true;
	return false;
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

static int decide_container(const struct nsi_policy *policy, const struct rule *rule,
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
	if (!expand(rule->rootfs, user, d->rootfs, sizeof(d->rootfs)))
		return nsi_fail_at(err, policy->path, rule->line, 0, NULL, "the rootfs path is too long");
	return 0;
}

int nsi_policy_decide(const struct nsi_policy *policy, const struct nsi_user *user,
	struct nsi_decision *ret_decision, struct nsi_error *err)
{
	struct nsi_decision d = {0};
	int res = 0;

	for (int i = 0; i < policy->n_rules; i++) {
		const struct rule *rule = &policy->rules[i];

		if (!any(rule->user, user, user_is) || !any(rule->group, user, group_has))
			continue;
		d = rule->options;
		d.line = rule->line;
		d.verdict = rule->stay ? NSI_STAY : NSI_DENY;
		if (rule->deny && !expand(rule->deny, user, d.text, sizeof(d.text)))
			snprintf(d.text, sizeof(d.text), "No container is set up for you.");
		if (rule->rootfs)
			res = decide_container(policy, rule, user, &d, err);
		if (res < 0)
			return nsi_error_reason(err, "policy");
		*ret_decision = d;
		return 0;
	}
	d.verdict = policy->unmapped_denied ? NSI_DENY : NSI_STAY;
	snprintf(d.text, sizeof(d.text), "No container is set up for %.100s.", user->name);
	*ret_decision = d;
	return 0;
}

int nsi_user_lookup(const char *name, struct nsi_user *ret_user, struct nsi_error *err)
{
	struct nsi_user user = {.n_groups = sizeof(user.groups) / sizeof(user.groups[0])};
	struct passwd pw, *found = NULL;
	char buf[16384];
	int r = getpwnam_r(name, &pw, buf, sizeof(buf), &found);

	if (r != 0 || !found) {
		nsi_fail(err, r ? r : ENOENT, "looking up user", name, r ? NULL : "no such user");
		return nsi_error_reason(err, "user");
	}
	if (!nsi_copy(user.name, sizeof(user.name), pw.pw_name) ||
		!nsi_copy(user.home, sizeof(user.home), pw.pw_dir) ||
		!nsi_copy(user.shell, sizeof(user.shell), pw.pw_shell))
		return nsi_failf(
			err, EINVAL, "looking up user", name, NULL, "name, home or shell is too long");
	snprintf(user.gecos, sizeof(user.gecos), "%s", pw.pw_gecos ? pw.pw_gecos : "");
	user.uid = pw.pw_uid;
	user.gid = pw.pw_gid;
	if (getgrouplist(user.name, user.gid, user.groups, &user.n_groups) < 0)
		return nsi_failf(err, E2BIG, "looking up user", name, NULL, "in more than 256 groups");
	*ret_user = user;
	return 0;
}
