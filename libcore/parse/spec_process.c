/* The keys of container.json that say how processes run: see process.h. */
#include "../base/compat.h"
#include "../base/str.h"
#include "spec_keys.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { UNSET = -1 };

/* ------------------------------------------------------------------ rlimits */

/* The one that is being read. */
static struct nsi_rlimit *last_limit(struct nsi_reader *r)
{
	return &r->spec->process.limits.list[r->spec->process.limits.n - 1];
}

static int read_type(struct nsi_reader *r, const char *key, json_object *value)
{
	const char *name = json_object_get_string(value);
	int resource = nsi_rlimit_number(name);

	if (resource < 0)
		return nsi_complain_unknown(r, key, -1, "limit",
			strncmp(name, "RLIMIT_", 7) ? name : name + 7, nsi_rlimit_names());
	for (int i = 0; i < r->spec->process.limits.n - 1; i++)
		if (r->spec->process.limits.list[i].resource == resource)
			return nsi_complain(r, key, -1, NULL, "a second limit of type \"%s\"", name);
	last_limit(r)->resource = resource;
	return 0;
}

static int read_amount(struct nsi_reader *r, const char *key, json_object *value)
{
	uint64_t *amount = strcmp(key, "soft") == 0 ? &last_limit(r)->soft : &last_limit(r)->hard;

	if (json_object_is_type(value, json_type_string) &&
		strcmp(json_object_get_string(value), "unlimited") == 0) {
		*amount = RLIM_INFINITY;
		return 0;
	}
	/* json-c gives the largest value for a number that is too large. */
	int64_t number = json_object_get_int64(value);
	if (!json_object_is_type(value, json_type_int) || number < 0 || number == INT64_MAX)
		return nsi_complain(
			r, key, -1, NULL, "\"%s\" must be a number from 0 on, or \"unlimited\"", key);
	*amount = (uint64_t)number;
	return 0;
}

static const struct nsi_key rlimit_keys[] = {
	{"type", json_type_string, "a string", read_type},
	{"soft", json_type_null, NULL, read_amount},
	{"hard", json_type_null, NULL, read_amount},
	{0},
};

static int one_rlimit(struct nsi_reader *r, int index, json_object *entry)
{
	struct nsi_limits *limits = &r->spec->process.limits;

	if (index == NSI_MAX_RLIMITS)
		return nsi_complain(r, "type", -1, NULL, "more than %d limits", NSI_MAX_RLIMITS);
	/* Neither an amount that JSON can give: "not given" */
	limits->list[limits->n++] =
		(struct nsi_rlimit){.resource = UNSET, .soft = INT64_MAX, .hard = INT64_MAX};
	return nsi_read_object(r, entry, "", rlimit_keys);
}

int nsi_read_rlimits(struct nsi_reader *r, const char *key, json_object *value)
{
	const struct nsi_limits *limits = &r->spec->process.limits;
	int res = nsi_read_objects(r, key, value, one_rlimit);

	for (int i = 0; res == 0 && i < limits->n; i++) {
		const struct nsi_rlimit *l = &limits->list[i];

		if (l->resource == UNSET || l->soft == INT64_MAX || l->hard == INT64_MAX)
			res = nsi_complain(r, key, i, NULL, "a limit needs \"type\", \"soft\" and \"hard\"");
		else if (l->soft > l->hard)
			res = nsi_complain(r, key, i, NULL, "\"soft\" is above \"hard\"");
	}
	return res;
}

/* ------------------------------------------------------------------ sysctl */

static bool has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The namespace that a setting belongs to; 0: to none. */
static uint64_t sysctl_namespace(const char *path)
{
	if (has_prefix(path, "net/"))
		return CLONE_NEWNET;
	if (has_prefix(path, "kernel/msg") || has_prefix(path, "kernel/shm") ||
		strcmp(path, "kernel/sem") == 0 || has_prefix(path, "fs/mqueue/"))
		return CLONE_NEWIPC;
	return 0;
}

static bool plain_path(const char *path)
{
	size_t len = strlen(path);

	for (const char *p = path; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("_-./@:", *p))
			return false;
	return len > 0 && path[0] != '/' && path[len - 1] != '/' && !strstr(path, "..") &&
	       !strstr(path, "//") && !strstr(path, "/./");
}

static int check_sysctl(struct nsi_reader *r, const char *name, const char *path)
{
	if (strcmp(path, "kernel/hostname") == 0 || strcmp(path, "kernel/domainname") == 0)
		return nsi_complain(
			r, name, -1, NULL, "use the key \"%s\" instead", path + strlen("kernel/"));
	if (!plain_path(path))
		return nsi_complain(r, name, -1, NULL, "\"%.60s\" is no name of a setting", name);
	if (!sysctl_namespace(path))
		return nsi_complain(r, name, -1,
			"possible are net.*, kernel.msg*, kernel.sem, kernel.shm* and fs.mqueue.*",
			"\"%.60s\" would be set for the whole host", name);
	return 0;
}

static int one_sysctl(struct nsi_reader *r, const char *name, json_object *value)
{
	struct nsi_process_spec *p = &r->spec->process;
	struct nsi_sysctl *s = &p->sysctls[p->n_sysctls];
	char path[sizeof(s->name)];

	if (p->n_sysctls == NSI_MAX_SYSCTLS)
		return nsi_complain(r, name, -1, NULL, "more than %d settings", NSI_MAX_SYSCTLS);
	if (!nsi_copy(s->name, sizeof(s->name), name) || !nsi_sysctl_path(name, path, sizeof(path)))
		return nsi_complain(r, name, -1, NULL, "\"%.60s\" is too long", name);
	int res = check_sysctl(r, name, path);
	if (res < 0)
		return res;
	if (!json_object_is_type(value, json_type_string) && !json_object_is_type(value, json_type_int))
		return nsi_complain(r, name, -1, NULL, "\"%s\" must be a string or a whole number", name);
	const char *text = json_object_get_string(value);
	if (!text) /* a number's is made when it is asked for */
		return nsi_fail(r->err, ENOMEM, "reading", r->file, NULL);
	if (!nsi_copy(s->value, sizeof(s->value), text) || !s->value[0] || strchr(s->value, '\n'))
		return nsi_complain(
			r, name, -1, NULL, "\"%s\" must be one line of 1 to 127 characters", name);
	p->n_sysctls++;
	return 0;
}

/* Like nsi_read_object() where any key may stand. */
static int read_any_object(struct nsi_reader *r, const char *key, json_object *object,
	int (*one)(struct nsi_reader *, const char *name, json_object *value))
{
	int res = 0;

	snprintf(r->path, sizeof(r->path), "%s", key);
	json_object_object_foreach(object, name, value)
	{
		if (res == 0)
			res = one(r, name, value);
	}
	r->path[0] = '\0';
	return res;
}

int nsi_read_sysctl(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_any_object(r, key, value, one_sysctl);
}

/* ------------------------------------------------------------------ paths and labels */

static int one_path(
	struct nsi_reader *r, struct nsi_path_list *list, const char *key, int index, const char *text)
{
	if (index == NSI_MAX_PATHS)
		return nsi_complain(r, key, index, NULL, "more than %d paths", NSI_MAX_PATHS);
	if (text[0] != '/' || !text[strspn(text, "/.")] || strstr(text, "/../") ||
		!nsi_copy(list->list[index], sizeof(list->list[0]), text))
		return nsi_complain(r, key, index, NULL,
			"\"%.60s\" is not an absolute path below / of at most 255 characters", text);
	list->n = index + 1;
	return 0;
}

static int one_masked(struct nsi_reader *r, const char *key, int index, const char *text)
{
	return one_path(r, &r->spec->process.masked, key, index, text);
}

static int one_readonly(struct nsi_reader *r, const char *key, int index, const char *text)
{
	return one_path(r, &r->spec->process.readonly, key, index, text);
}

int nsi_read_masked_paths(struct nsi_reader *r, const char *key, json_object *value)
{
	r->spec->process.masked.given = true;
	return nsi_read_strings(r, key, value, one_masked);
}

int nsi_read_readonly_paths(struct nsi_reader *r, const char *key, json_object *value)
{
	r->spec->process.readonly.given = true;
	return nsi_read_strings(r, key, value, one_readonly);
}

static int one_label(struct nsi_reader *r, const char *name, json_object *value)
{
	struct nsi_process_spec *p = &r->spec->process;
	struct nsi_label *label = &p->labels[p->n_labels];

	if (p->n_labels == NSI_MAX_LABELS)
		return nsi_complain(r, name, -1, NULL, "more than %d labels", NSI_MAX_LABELS);
	if (!json_object_is_type(value, json_type_string))
		return nsi_complain(r, name, -1, NULL, "label \"%.60s\" must be a string", name);
	const char *text = json_object_get_string(value);
	if (!name[0] || !nsi_copy(label->name, sizeof(label->name), name) ||
		!nsi_copy(label->value, sizeof(label->value), text) || strpbrk(name, "=\n") ||
		strchr(text, '\n'))
		return nsi_complain(r, name, -1, NULL,
			"a label is one line, its name without '=' and of 1 to 63 characters, its value of "
			"at most 255");
	p->n_labels++;
	return 0;
}

int nsi_read_labels(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_any_object(r, key, value, one_label);
}

/* ------------------------------------------------------------------ single values */

int nsi_read_no_new_privs(struct nsi_reader *r, const char *key, json_object *value)
{
	(void)key;
	r->spec->process.no_new_privs = json_object_get_boolean(value);
	return 0;
}

int nsi_read_oom_score_adj(struct nsi_reader *r, const char *key, json_object *value)
{
	int64_t number = json_object_get_int64(value);

	if (number < -1000 || number > 1000)
		return nsi_complain(r, key, -1, NULL, "\"oom_score_adj\" must be between -1000 and 1000");
	r->spec->process.limits.oom_given = true;
	r->spec->process.limits.oom_score_adj = (int)number;
	return 0;
}

int nsi_read_domainname(struct nsi_reader *r, const char *key, json_object *value)
{
	const char *name = json_object_get_string(value);

	if (!nsi_copy(r->spec->process.domainname, sizeof(r->spec->process.domainname), name))
		return nsi_complain(r, key, -1, NULL, "\"domainname\" is longer than 64 characters");
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("-._", *name))
			return nsi_complain(r, key, -1, NULL,
				"\"domainname\" may hold letters, digits, '-', '.' and '_' only");
	return 0;
}

int nsi_read_timezone(struct nsi_reader *r, const char *key, json_object *value)
{
	const char *name = json_object_get_string(value);
	bool valid = isalpha((unsigned char)name[0]) &&
		     nsi_copy(r->spec->process.timezone, sizeof(r->spec->process.timezone), name);

	for (const char *p = name; *p; p++)
		valid &= isalnum((unsigned char)*p) || strchr("_-+/", *p);
	if (!valid)
		return nsi_complain(r, key, -1, "for example \"Europe/Berlin\"",
			"\"timezone\" must be a name below /usr/share/zoneinfo");
	return 0;
}

/* ------------------------------------------------------------------ the whole */

static int check_sysctl_namespaces(struct nsi_reader *r)
{
	const struct nsi_process_spec *p = &r->spec->process;
	char path[sizeof(p->sysctls[0].name)];
	int res = 0;

	nsi_copy_array(r->path, "sysctl");
	for (int i = 0; res == 0 && i < p->n_sysctls; i++) {
		const char *name = p->sysctls[i].name;

		nsi_sysctl_path(name, path, sizeof(path));
		uint64_t needed = sysctl_namespace(path);
		if (!(r->spec->namespaces & needed))
			res = nsi_complain(r, name, -1,
				needed == CLONE_NEWNET ? "add \"NEWNET\" to \"namespaces\""
						       : "add \"NEWIPC\" to \"namespaces\"",
				"\"%s\" would be set for the whole host", name);
	}
	r->path[0] = '\0';
	return res;
}

int nsi_check_process(struct nsi_reader *r)
{
	if (r->spec->process.domainname[0] && !(r->spec->namespaces & CLONE_NEWUTS))
		return nsi_complain(r, "domainname", -1,
			"add \"NEWUTS\" to \"namespaces\", or remove \"domainname\"",
			"\"domainname\" would be set for the whole host");
	return check_sysctl_namespaces(r);
}
