/* nsinit check --json: the whole. The names of keys are documented in nsinit(1) and do not change. */
#include "json.h"

#include <stdio.h>
#include <string.h>

json_object *json_text(const char *text)
{
	return text && text[0] ? json_object_new_string(text) : NULL;
}

static void put(json_object *object, const char *key, json_object *value)
{
	json_object_object_add(object, key, value);
}

static json_object *number(int64_t value)
{
	return value ? json_object_new_int64(value) : NULL;
}

static void print(json_object *object)
{
	puts(json_object_to_json_string_ext(
		object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

/* ------------------------------------------------------------------ a root directory */

static json_object *owner(const struct stat *st)
{
	json_object *object = json_object_new_object();
	char mode[8];

	snprintf(mode, sizeof(mode), "%04o", (unsigned)(st->st_mode & 07777));
	put(object, "uid", json_object_new_int64(st->st_uid));
	put(object, "gid", json_object_new_int64(st->st_gid));
	put(object, "mode", json_text(mode));
	return object;
}

static json_object *tree(const struct check_tree *t)
{
	static const char *const lives[] = {"none", "live", "stale", "unknown"};
	json_object *object = json_object_new_object(), *missing = json_object_new_array();

	put(object, "path", json_text(t->path));
	put(object, "owner", owner(&t->dir));
	put(object, "file_owner", owner(&t->file));
	put(object, "logins_refused", json_text(t->refusal));
	put(object, "shell", json_text(t->shell));
	put(object, "passwd", json_object_new_boolean(t->passwd));
	for (int i = 0; i < t->n_missing; i++)
		json_object_array_add(missing, json_text(t->missing[i]));
	put(object, "to_be_made", missing);
	put(object, "container", json_text(lives[t->life]));
	put(object, "pid", number(t->pid));
	put(object, "id_mapping", t->idmap < 0 ? NULL : json_object_new_boolean(t->idmap));
	return object;
}

/* ------------------------------------------------------------------ a policy */

static json_object *names(const char **list)
{
	json_object *array = json_object_new_array();

	for (int i = 0; list && list[i]; i++)
		json_object_array_add(array, json_object_new_string(list[i]));
	return array;
}

static json_object *rule(const struct check_rule *r)
{
	json_object *object = json_object_new_object();
	const struct nsi_rule *said = r->rule;

	put(object, "line", number(said->line));
	put(object, "users", names(said->users));
	put(object, "groups", names(said->groups));
	put(object, "result", json_text(said->stay ? "host" : said->deny ? "deny" : "container"));
	put(object, "text", json_text(said->deny));
	put(object, "rootfs", json_text(said->rootfs));
	put(object, "image", json_text(said->image));
	put(object, "config", json_text(said->config));
	put(object, "size", number((int64_t)said->options.size));
	put(object, "userns", json_text(said->options.userns == NSI_USERNS_OFF ? "off" : "auto"));
	put(object, "home", json_text(said->options.home == NSI_HOME_NONE ? "none" : "bind"));
	put(object, "hidden_by", number(r->hidden_by));
	put(object, "container", r->loaded ? check_json_container(&r->container) : NULL);
	return object;
}

static json_object *policy(const struct check_rules *rules)
{
	static const char *const modes[] = {"split", "join", "shell", "deny"};
	json_object *object = json_object_new_object(), *list = json_object_new_array();
	json_object *services = json_object_new_object();

	for (int i = 0; i < rules->policy->n_rules; i++)
		json_object_array_add(list, rule(&rules->list[i]));
	put(object, "rules", list);
	put(object, "unmapped", json_text(rules->policy->unmapped_denied ? "deny" : "host"));
	for (int i = 0; i < rules->policy->n_services; i++)
		put(services, rules->policy->services[i].name,
			json_text(modes[rules->policy->services[i].mode]));
	put(object, "services", services);
	return object;
}

/* ------------------------------------------------------------------ the whole */

static json_object *warnings(const struct check_warnings *w)
{
	json_object *list = json_object_new_array();

	for (int i = 0; i < w->n; i++) {
		json_object *one = json_object_new_object();

		put(one, "code", json_text(w->list[i].code));
		put(one, "line", number(w->list[i].line));
		put(one, "message", json_text(w->list[i].message));
		put(one, "remedy", json_text(w->list[i].remedy));
		json_object_array_add(list, one);
	}
	return list;
}

void check_print_json(const struct check_report *report)
{
	json_object *object = json_object_new_object();

	put(object, "ok", json_object_new_boolean(true));
	put(object, "path", json_text(report->path));
	put(object, "kind", json_text(report->rules ? "policy" : report->tree ? "rootfs" : "container"));
	if (report->container)
		put(object, "container", check_json_container(report->container));
	if (report->tree)
		put(object, "rootfs", tree(report->tree));
	if (report->rules)
		put(object, "policy", policy(report->rules));
	put(object, "warnings", warnings(report->warnings));
	print(object);
}

/* The name without ":LINE:COLUMN". */
static json_object *file_of(const struct nsi_error *err, const char *path)
{
	size_t len = strlen(err->object);

	if (!err->line)
		return json_text(path);
	for (int colons = err->column ? 2 : 1; colons > 0; colons--)
		while (len > 0 && err->object[--len] != ':')
			continue;
	return json_object_new_string_len(err->object, (int)len);
}

void check_print_json_error(const struct nsi_error *err, const char *path, const char *page)
{
	json_object *object = json_object_new_object(), *error = json_object_new_object();
	char message[1200];

	snprintf(message, sizeof(message), "%s %s: %s", err->step, err->object, err->cause);
	put(error, "file", file_of(err, path));
	put(error, "line", number(err->line));
	put(error, "column", number(err->column));
	put(error, "key", json_text(err->key));
	put(error, "message", json_text(err->line ? err->cause : message));
	put(error, "hint", json_text(err->hint));
	put(error, "help", json_text(err->line || err->key[0] ? page : NULL));
	put(object, "ok", json_object_new_boolean(false));
	put(object, "path", json_text(path));
	put(object, "error", error);
	print(object);
}
