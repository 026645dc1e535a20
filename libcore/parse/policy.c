/* The policy, /etc/nsinit/nsinit.conf. libconfig parses; what is said here is which settings exist. */
#include "policy_read.h"

#include "../base/cleanup.h"
#include "../base/io.h"
#include "../base/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fault(struct reader *r, const config_setting_t *at, const char *hint, const char *what)
{
	return nsi_fail_at(
		r->err, r->policy->path, at ? (int)config_setting_source_line(at) : 0, 0, hint, "%s", what);
}

static const char *const top_names[] = {
	"version", "unmapped", "services", "networks", NSI_STORE_NAMES, "defaults", "rules", NULL};
#define OPTION_NAMES                                                                                         \
	"userns", "lifetime", "idle", "max_age", "max_sessions", "home", "tty", "accounts", "dns", "shell",  \
		"limits", "session_limits", "resources", "ownership", "machined", NSI_RECORD_NAMES
static const char *const option_names[] = {OPTION_NAMES, NULL};
static const char *const rule_names[] = {"user", "group", "stay", "deny", NSI_ROOT_NAMES, OPTION_NAMES, NULL};

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

int nsi_policy_fault(struct reader *r, const config_setting_t *at, const char *hint, const char *what)
{
	return fault(r, at, hint, what);
}

int nsi_policy_names(struct reader *r, const config_setting_t *group, const char *const *names)
{
	return check_names(r, group, names);
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
	/* The name of a service is whatever the file says: no more of it than leaves room for the words. */
	int n = snprintf(what, sizeof(what), "\"%.60s\" must be", name);
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
	else if (text && strcmp(text, "linger") == 0)
		*lifetime = NSI_LIFETIME_LINGER;
	else
		return fault(r, s, NULL,
			"\"lifetime\" must be \"last-session\", \"linger\", \"forever\" or a number of "
			"seconds");
	return 0;
}

static int read_count(struct reader *r, const config_setting_t *group, const char *name, int min, int *value)
{
	const config_setting_t *s = config_setting_get_member(group, name);
	char what[96];

	if (!s)
		return 0;
	if (config_setting_type(s) != CONFIG_TYPE_INT || config_setting_get_int(s) < min) {
		snprintf(what, sizeof(what), "\"%s\" must be a whole number of at least %d", name, min);
		return fault(r, s, NULL, what);
	}
	*value = config_setting_get_int(s);
	return 0;
}

static int read_machined(struct reader *r, const config_setting_t *group, bool *machined)
{
	const config_setting_t *s = config_setting_get_member(group, "machined");

	if (s && config_setting_type(s) != CONFIG_TYPE_BOOL)
		return fault(r, s, NULL, "\"machined\" must be true or false");
	if (s)
		*machined = config_setting_get_bool(s);
	return 0;
}

static int read_shell(struct reader *r, const config_setting_t *group, struct nsi_decision *options)
{
	const config_setting_t *s = config_setting_get_member(group, "shell");
	const char *text = s ? config_setting_get_string(s) : NULL;

	if (!s)
		return 0;
	if (!text || text[0] != '/' || strchr(text, '\n') ||
		!nsi_copy(options->shell, sizeof(options->shell), text))
		return fault(r, s, NULL, "\"shell\" must be an absolute path inside the container");
	return 0;
}

static int read_limits(struct reader *r, const config_setting_t *group, struct nsi_decision *options)
{
	static const char *const names[] = {
		NSI_NETWORK_LIMITS, NSI_MOUNT_LIMITS, NSI_RESOURCE_LIMITS, NSI_CEILING_LIMITS, NULL};
	const config_setting_t *limits = config_setting_get_member(group, "limits");

	if (!limits)
		return 0;
	if (!config_setting_is_group(limits))
		return fault(r, limits, NULL, "\"limits\" must be a group: { ... }");
	if (check_names(r, limits, names) < 0)
		return -EINVAL;
	if (nsi_policy_network_limits(r, limits, &options->network) < 0 ||
		nsi_policy_resource_limits(r, limits, options) < 0 ||
		nsi_policy_ceilings(r, limits, &options->ceilings) < 0)
		return -EINVAL;
	return nsi_policy_mount_limits(r, limits, options);
}

static int read_options(struct reader *r, const config_setting_t *group, struct nsi_decision *options)
{
	static const char *const userns[] = {"auto", "off", NULL}, *const home[] = {"bind", "none", NULL};
	static const char *const tty[] = {"container", "relay", NULL}, *const accounts[] = {
									       "auto", "image", NULL};
	static const char *const dns[] = {"image", "host", NULL};
	static const char *const resources[] = {"required", "best-effort", NULL};
	static const char *const ownership[] = {"host", "shifted", NULL};
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
	if ((word = read_word(r, group, "resources", resources)) < -1)
		return -EINVAL;
	if (word >= 0)
		options->best_effort = word == 1;
	if ((word = read_word(r, group, "tty", tty)) < -1)
		return -EINVAL;
	if (word >= 0)
		options->tty = (enum nsi_tty)word;
	if ((word = read_word(r, group, "ownership", ownership)) < -1)
		return -EINVAL;
	if (word >= 0)
		options->ownership = (enum nsi_ownership)word;
	if (read_count(r, group, "idle", 1, &options->idle) < 0 ||
		read_count(r, group, "max_age", 1, &options->max_age) < 0 ||
		read_count(r, group, "max_sessions", 1, &options->max_sessions) < 0 ||
		read_shell(r, group, options) < 0 || read_limits(r, group, options) < 0 ||
		nsi_policy_session_limits(r, group, options) < 0 ||
		read_machined(r, group, &options->machined) < 0 ||
		nsi_policy_record(r, group, &options->recording) < 0)
		return -EINVAL;
	return read_lifetime(r, group, &options->lifetime);
}

/* A name or a list of names, as an array of ours. */
static int read_names(struct reader *r, const config_setting_t *rule, const char *name, const char ***ret)
{
	const config_setting_t *s = config_setting_get_member(rule, name);

	if (!s)
		return 0;
	bool one = config_setting_type(s) == CONFIG_TYPE_STRING;
	int n = one                                                             ? 1
		: config_setting_is_aggregate(s) && !config_setting_is_group(s) ? config_setting_length(s)
										: 0;
	const char **names = calloc((size_t)n + 1, sizeof(*names));
	if (!names)
		return nsi_fail(r->err, ENOMEM, "reading", r->policy->path, NULL);
	*ret = names;
	for (int i = 0; i < n; i++) {
		names[i] = one ? config_setting_get_string(s) : config_setting_get_string_elem(s, i);
		if (!names[i])
			n = 0;
	}
	return n > 0 ? 0 : fault(r, s, NULL, "\"user\" and \"group\" must be a name or a list of names");
}

static int read_rule(struct reader *r, const config_setting_t *s, const struct nsi_decision *defaults,
	struct nsi_rule *rule)
{
	const config_setting_t *stay = config_setting_get_member(s, "stay");
	const config_setting_t *deny = config_setting_get_member(s, "deny");
	bool rooted = config_setting_get_member(s, "rootfs") || config_setting_get_member(s, "image");
	static const char *const host[] = {"host", NULL};

	if (!config_setting_is_group(s))
		return fault(r, s, NULL, "a rule must be a group: { ... }");
	*rule = (struct nsi_rule){.line = (int)config_setting_source_line(s), .options = *defaults};
	if (check_names(r, s, rule_names) < 0 || read_names(r, s, "user", &rule->users) < 0 ||
		read_names(r, s, "group", &rule->groups) < 0 || read_options(r, s, &rule->options) < 0)
		return -EINVAL;
	if (!rule->users && !rule->groups)
		return fault(r, s, "user = \"*\" holds for everybody", "a rule needs \"user\" or \"group\"");
	if ((stay != NULL) + (deny != NULL) + rooted != 1)
		return fault(r, s, NULL, "a rule needs exactly one of \"rootfs\", \"stay\" and \"deny\"");
	if (stay && read_word(r, s, "stay", host) < 0)
		return -EINVAL;
	rule->stay = stay != NULL;
	if (deny && !(rule->deny = config_setting_get_string(deny)))
		return fault(r, deny, NULL, "\"deny\" must be a sentence");
	if (rooted && rule->options.recording.tty && rule->options.tty == NSI_TTY_RELAY)
		return fault(r, s, "leave \"tty\" out", "\"record\" and tty = \"relay\" exclude each other");
	return nsi_policy_root(r, s, rule);
}

static int read_rules(struct reader *r, const config_setting_t *rules, const struct nsi_decision *defaults)
{
	int n = config_setting_length(rules);

	if (config_setting_type(rules) != CONFIG_TYPE_LIST)
		return fault(r, rules, NULL, "\"rules\" must be a list: ( { ... }, { ... } )");
	r->policy->rules = calloc((size_t)n + 1, sizeof(struct nsi_rule));
	if (!r->policy->rules)
		return nsi_fail(r->err, ENOMEM, "reading", r->policy->path, NULL);
	for (int i = 0; i < n; i++) {
		int res = read_rule(r, config_setting_get_elem(rules, (unsigned)i), defaults,
			&r->policy->rules[r->policy->n_rules++]);

		if (res < 0)
			return res;
	}
	return 0;
}

/*
 * Which ways a service can have. Anything else would let a process of the user's onto the host: sshd has a
 * child of its own for the session, login runs nothing but the shell, and all others run what they are told.
 */
static int check_mode(
	struct reader *r, const config_setting_t *s, const char *service, enum nsi_service_mode mode)
{
	bool sshd = strncmp(service, "sshd", 4) == 0, login = strcmp(service, "login") == 0;
	char what[128];

	if (mode == NSI_SERVICE_DENY || (mode == NSI_SERVICE_SPLIT && sshd) ||
		(mode == NSI_SERVICE_SHELL && login) || (mode == NSI_SERVICE_JOIN && !sshd && !login))
		return 0;
	snprintf(what, sizeof(what), "\"%.40s\" can only be \"%s\" or \"deny\"", service,
		sshd    ? "split"
		: login ? "shell"
			: "join");
	return fault(r, s, NULL, what);
}

static int read_services(struct reader *r, const config_setting_t *services)
{
	static const char *const modes[] = {
		"split", "join", "shell", "deny", NULL}; /* enum nsi_service_mode */
	int n = config_setting_length(services);

	if (!config_setting_is_group(services))
		return fault(r, services, NULL, "\"services\" must be a group: { su = \"join\"; ... }");
	r->policy->services = calloc((size_t)n + 1, sizeof(struct nsi_service));
	if (!r->policy->services)
		return nsi_fail(r->err, ENOMEM, "reading", r->policy->path, NULL);
	for (int i = 0; i < n; i++) {
		const config_setting_t *s = config_setting_get_elem(services, (unsigned)i);
		const char *name = config_setting_name(s);
		int mode = read_word(r, services, name, modes);

		if (mode < 0 || check_mode(r, s, name, (enum nsi_service_mode)mode) < 0)
			return -EINVAL;
		r->policy->services[i] = (struct nsi_service){name, (enum nsi_service_mode)mode};
		r->policy->n_services++;
	}
	return 0;
}

static int read_top(struct reader *r)
{
	static const char *const unmapped_words[] = {"host", "deny", NULL};
	struct nsi_decision options = {.lifetime = NSI_LIFETIME_LAST_SESSION, .idle = 10};
	const config_setting_t *root = config_root_setting(r->policy->config);
	const config_setting_t *version = config_setting_get_member(root, "version");
	const config_setting_t *defaults = config_setting_get_member(root, "defaults");
	const config_setting_t *rules = config_setting_get_member(root, "rules");
	const config_setting_t *services = config_setting_get_member(root, "services");
	const config_setting_t *networks = config_setting_get_member(root, "networks");
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
	if (networks && nsi_policy_networks(r, networks, &options.network) < 0)
		return -EINVAL;
	r->policy->network = options.network;
	if (nsi_policy_store(r, root, &r->policy->records) < 0)
		return -EINVAL;
	nsi_copy_array(options.recording.dir, r->policy->records.dir);
	options.recording.size = NSI_RECORD_SIZE;
	if (defaults) {
		if (!config_setting_is_group(defaults))
			return fault(r, defaults, NULL, "\"defaults\" must be a group: { ... }");
		if (check_names(r, defaults, option_names) < 0 || read_options(r, defaults, &options) < 0)
			return -EINVAL;
	}
	if (services && read_services(r, services) < 0)
		return -EINVAL;
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
	if (config_read_string(r->policy->config, text) != CONFIG_TRUE)
		return nsi_fail_at(r->err, r->policy->path, config_error_line(r->policy->config), 0, NULL,
			"%s", config_error_text(r->policy->config));
	return read_top(r);
}

int nsi_policy_parse(
	const char *path, const char *text, size_t len, struct nsi_policy **ret_policy, struct nsi_error *err)
{
	struct nsi_policy *policy = calloc(1, sizeof(*policy));
	struct reader r = {.policy = policy, .err = err};

	if (!policy || !(policy->config = calloc(1, sizeof(config_t)))) {
		free(policy);
		nsi_fail(err, ENOMEM, "reading", path, NULL);
		return nsi_error_reason(err, "policy");
	}
	config_init(policy->config);
	snprintf(policy->path, sizeof(policy->path), "%s", path);
	if (parse(&r, text, len) < 0) {
		nsi_policy_free(policy);
		return nsi_error_reason(err, "policy");
	}
	*ret_policy = policy;
	return 0;
}

int nsi_policy_load(const char *path, struct nsi_policy **ret_policy, struct nsi_error *err)
{
	cleanup_free char *text = NULL;
	cleanup_fd int fd = -1;
	size_t len = 0;
	int res;

	res = nsi_open_trusted(path, O_RDONLY, &fd, NULL, err);
	if (res == 0)
		res = nsi_read_fd(fd, path, NSI_POLICY_MAX_BYTES, &text, &len, err);
	if (res < 0 || !text)
		return nsi_error_reason(err, "policy");
	return nsi_policy_parse(path, text, len, ret_policy, err);
}

void nsi_policy_free(struct nsi_policy *policy)
{
	if (!policy)
		return;
	for (int i = 0; i < policy->n_rules; i++) {
		free(policy->rules[i].users);
		free(policy->rules[i].groups);
	}
	config_destroy(policy->config);
	free(policy->config);
	free(policy->rules);
	free(policy->services);
	free(policy);
}
