/* nsinit check --json: the whole. The names of keys are documented in nsinit(1) and do not change. */
#include "json.h"

#include <stdio.h>
#include <string.h>

static json_object *number(int64_t value)
{
	return value ? json_number(value) : NULL;
}

static void print(json_object *object)
{
	const char *text = json_object_to_json_string_ext(
		object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE);

	/* Text that memory does not suffice for lacks a piece. */
	json_object *again = json_made(text ? json_tokener_parse(text) : NULL);
	puts(json_made(json_object_equal(object, again) ? text : NULL));
	json_object_put(again);
	json_object_put(object);
}

/* ------------------------------------------------------------------ a root directory */

static json_object *owner(const struct stat *st)
{
	json_object *object = json_new_object();
	char mode[8];

	snprintf(mode, sizeof(mode), "%04o", (unsigned)(st->st_mode & 07777));
	json_put(object, "uid", json_number(st->st_uid));
	json_put(object, "gid", json_number(st->st_gid));
	json_put(object, "mode", json_text(mode));
	return object;
}

static json_object *tree(const struct check_tree *t)
{
	static const char *const lives[] = {"none", "live", "stale", "unknown"};
	json_object *object = json_new_object(), *missing = json_new_array();

	json_put(object, "path", json_text(t->path));
	json_put(object, "owner", owner(&t->dir));
	json_put(object, "file_owner", owner(&t->file));
	json_put(object, "logins_refused", json_text(t->refusal));
	json_put(object, "shell", json_text(t->shell));
	json_put(object, "passwd", json_truth(t->passwd));
	for (int i = 0; i < t->n_missing; i++)
		json_append(missing, json_text(t->missing[i]));
	json_put(object, "to_be_made", missing);
	json_put(object, "container", json_text(lives[t->life]));
	json_put(object, "pid", number(t->pid));
	json_put(object, "id_mapping", t->idmap < 0 ? NULL : json_truth(t->idmap));
	return object;
}

/* ------------------------------------------------------------------ a policy */

static json_object *names(const char **list)
{
	json_object *array = json_new_array();

	for (int i = 0; list && list[i]; i++)
		json_append(array, json_text(list[i]));
	return array;
}

static json_object *rule(const struct check_rule *r)
{
	json_object *object = json_new_object();
	const struct nsi_rule *said = r->rule;

	json_put(object, "line", number(said->line));
	json_put(object, "users", names(said->users));
	json_put(object, "groups", names(said->groups));
	json_put(object, "result", json_text(said->stay ? "host" : said->deny ? "deny" : "container"));
	json_put(object, "text", json_text(said->deny));
	json_put(object, "rootfs", json_text(said->rootfs));
	json_put(object, "image", json_text(said->image));
	json_put(object, "config", json_text(said->config));
	json_put(object, "size", number((int64_t)said->options.size));
	json_put(object, "userns", json_text(said->options.userns == NSI_USERNS_OFF ? "off" : "auto"));
	json_put(object, "home", json_text(said->options.home == NSI_HOME_NONE ? "none" : "bind"));
	json_put(object, "record", json_text(said->options.recording.tty ? "tty" : "none"));
	json_put(object, "hidden_by", number(r->hidden_by));
	json_put(object, "container", r->loaded ? check_json_container(&r->container) : NULL);
	return object;
}

static json_object *policy(const struct check_rules *rules)
{
	static const char *const modes[] = {"split", "join", "shell", "deny"};
	json_object *object = json_new_object(), *list = json_new_array();
	json_object *services = json_new_object();

	for (int i = 0; i < rules->policy->n_rules; i++)
		json_append(list, rule(&rules->list[i]));
	json_put(object, "rules", list);
	json_put(object, "unmapped", json_text(rules->policy->unmapped_denied ? "deny" : "host"));
	for (int i = 0; i < rules->policy->n_services; i++)
		json_put(services, rules->policy->services[i].name,
			json_text(modes[rules->policy->services[i].mode]));
	json_put(object, "services", services);
	return object;
}

/* ------------------------------------------------------------------ the whole */

static json_object *warnings(const struct check_warnings *w)
{
	json_object *list = json_new_array();

	for (int i = 0; i < w->n; i++) {
		json_object *one = json_new_object();

		json_put(one, "code", json_text(w->list[i].code));
		json_put(one, "line", number(w->list[i].line));
		json_put(one, "message", json_text(w->list[i].message));
		json_put(one, "remedy", json_text(w->list[i].remedy));
		json_append(list, one);
	}
	return list;
}

void check_print_json(const struct check_report *report)
{
	json_object *object = json_new_object();

	json_put(object, "ok", json_truth(true));
	json_put(object, "path", json_text(report->path));
	json_put(object, "kind", json_text(report->rules ? "policy" : report->tree ? "rootfs" : "container"));
	if (report->container)
		json_put(object, "container", check_json_container(report->container));
	if (report->tree)
		json_put(object, "rootfs", tree(report->tree));
	if (report->rules)
		json_put(object, "policy", policy(report->rules));
	json_put(object, "warnings", warnings(report->warnings));
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
	return json_made(json_object_new_string_len(err->object, (int)len));
}

void check_print_json_error(const struct nsi_error *err, const char *path, const char *page)
{
	json_object *object = json_new_object(), *error = json_new_object();
	char message[1200];

	snprintf(message, sizeof(message), "%s %s: %s", err->step, err->object, err->cause);
	json_put(error, "file", file_of(err, path));
	json_put(error, "line", number(err->line));
	json_put(error, "column", number(err->column));
	json_put(error, "key", json_text(err->key));
	json_put(error, "message", json_text(err->line ? err->cause : message));
	json_put(error, "hint", json_text(err->hint));
	json_put(error, "help", json_text(err->line || err->key[0] ? page : NULL));
	json_put(object, "ok", json_truth(false));
	json_put(object, "path", json_text(path));
	json_put(object, "error", error);
	print(object);
}
