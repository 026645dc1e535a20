#include "json_read.h"

#include "../base/str.h"

#include <json-c/json_visit.h>
#include <stdio.h>
#include <string.h>

/* "known are a, b, c", as many as there is room for. */
static void list_names(const char *const *names, char *buf, size_t size)
{
	static const char others[] = ", and others";
	size_t used = (size_t)snprintf(buf, size, "known are");

	for (size_t i = 0; names[i]; i++) {
		if (used + strlen(names[i]) + 2 + sizeof(others) > size) {
			nsi_copy(buf + used, size - used, others);
			return;
		}
		used += (size_t)snprintf(buf + used, size - used, "%s %s", i ? "," : "", names[i]);
	}
}

int nsi_complain_unknown(struct nsi_reader *r, const char *key, int index, const char *what, const char *word,
	const char *const *names)
{
	const char *near = nsi_nearest(word, names);
	char hint[sizeof(r->err->hint)] = "";

	if (near)
		snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
	else
		list_names(names, hint, sizeof(hint));
	return nsi_complain(r, key, index, hint, "unknown %s \"%.60s\"", what, word);
}

static int unknown_key(struct nsi_reader *r, const char *key, const struct nsi_key *table)
{
	const char *names[64] = {0};

	for (size_t i = 0; i < 63 && table[i].name; i++)
		names[i] = table[i].name;
	return nsi_complain_unknown(r, key, -1, "key", key, names);
}

/* Go down to `key`, or to entry `index` of it. The former path is the caller's to put back. */
static void enter(struct nsi_reader *r, const char *key, int index, char outer[sizeof(r->path)])
{
	size_t used = strlen(r->path);

	nsi_copy(outer, sizeof(r->path), r->path);
	if (!key[0])
		return;
	if (used && used + 1 < sizeof(r->path))
		r->path[used++] = '/';
	if (index < 0)
		snprintf(r->path + used, sizeof(r->path) - used, "%s", key);
	else
		snprintf(r->path + used, sizeof(r->path) - used, "%s[%d]", key, index);
}

void nsi_leave_entry(struct nsi_reader *r, char ret_inner[])
{
	char *last = strrchr(r->path, '/');

	nsi_copy(ret_inner, sizeof(r->path), r->path);
	*(last ? last : r->path) = '\0';
}

void nsi_enter_entry(struct nsi_reader *r, const char inner[])
{
	nsi_copy(r->path, sizeof(r->path), inner);
}

int nsi_read_object(struct nsi_reader *r, json_object *object, const char *key, const struct nsi_key *table)
{
	char outer[sizeof(r->path)];
	int res = 0;

	enter(r, key, -1, outer);
	json_object_object_foreach(object, name, value)
	{
		const struct nsi_key *k = table;

		while (k->name && strcmp(k->name, name) != 0)
			k++;
		if (!k->name)
			res = unknown_key(r, name, table);
		else if (k->type != json_type_null && !json_object_is_type(value, k->type))
			res = nsi_complain(r, name, -1, NULL, "\"%s\" must be %s, not %s", name, k->expected,
				value ? json_type_to_name(json_object_get_type(value)) : "null");
		else
			res = k->read(r, name, value);
		if (res < 0)
			break;
	}
	nsi_copy_array(r->path, outer);
	return res;
}

int nsi_read_entry(
	struct nsi_reader *r, const char *key, int index, json_object *entry, const struct nsi_key *table)
{
	char outer[sizeof(r->path)];

	enter(r, key, index, outer);
	int res = nsi_read_object(r, entry, "", table);
	nsi_copy_array(r->path, outer);
	return res;
}

int nsi_read_strings(struct nsi_reader *r, const char *key, json_object *list,
	int (*one)(struct nsi_reader *, const char *key, int index, const char *text))
{
	size_t n = json_object_array_length(list);

	for (size_t i = 0; i < n; i++) {
		json_object *entry = json_object_array_get_idx(list, i);
		int res;

		if (!json_object_is_type(entry, json_type_string))
			return nsi_complain(
				r, key, (int)i, NULL, "entry %zu of \"%s\" must be a string", i + 1, key);
		res = one(r, key, (int)i, json_object_get_string(entry));
		if (res < 0)
			return res;
	}
	return 0;
}

int nsi_read_string_or_list(struct nsi_reader *r, const char *key, json_object *value,
	int (*one)(struct nsi_reader *, const char *key, int index, const char *text))
{
	if (json_object_is_type(value, json_type_string))
		return one(r, key, -1, json_object_get_string(value));
	if (json_object_is_type(value, json_type_array))
		return nsi_read_strings(r, key, value, one);
	return nsi_complain(r, key, -1, NULL, "\"%s\" must be a string or a list of strings, not %s", key,
		value ? json_type_to_name(json_object_get_type(value)) : "null");
}

int nsi_read_objects(struct nsi_reader *r, const char *key, json_object *list,
	int (*one)(struct nsi_reader *, int index, json_object *entry))
{
	size_t n = json_object_array_length(list);
	char outer[sizeof(r->path)];
	int res = 0;

	for (size_t i = 0; res == 0 && i < n; i++) {
		json_object *entry = json_object_array_get_idx(list, i);

		if (!json_object_is_type(entry, json_type_object))
			return nsi_complain(
				r, key, (int)i, NULL, "entry %zu of \"%s\" must be an object", i + 1, key);
		enter(r, key, (int)i, outer);
		res = one(r, (int)i, entry);
		nsi_copy_array(r->path, outer);
	}
	return res;
}

int nsi_json_parse(const char *file, const char *text, size_t len, json_object **ret, struct nsi_error *err)
{
	struct json_tokener *tok = json_tokener_new_ex(NSI_SPEC_MAX_DEPTH);
	enum json_tokener_error why;
	int line, column;

	if (!tok)
		return nsi_fail(err, ENOMEM, "reading", file, NULL);
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	/* The terminating NUL is part of what is parsed: a lone number ends only there. */
	json_object *top = json_tokener_parse_ex(tok, text, (int)len + 1);
	why = json_tokener_get_error(tok);
	nsi_text_position(text, json_tokener_get_parse_end(tok), &line, &column);
	json_tokener_free(tok);
	if (why == json_tokener_error_depth)
		return nsi_fail_at(
			err, file, line, column, NULL, "nested deeper than %d levels", NSI_SPEC_MAX_DEPTH);
	if (why != json_tokener_success)
		return nsi_fail_at(err, file, line, column, NULL, "%s", json_tokener_error_desc(why));
	if (!top && text[strspn(text, " \t\r\n")] == '{')
		return nsi_fail(err, ENOMEM, "reading", file, NULL);
	if (!json_object_is_type(top, json_type_object)) {
		json_object_put(top);
		return nsi_fail_at(err, file, 1, 1, NULL, "the top level must be an object");
	}
	*ret = top;
	return 0;
}

/* For json_c_visit(): each value, objects and lists before and after what is in them. */
static int add_up(
	json_object *value, int flags, json_object *parent, const char *key, size_t *index, void *data)
{
	struct nsi_json_size *size = data;

	(void)index;
	if (flags & JSON_C_VISIT_SECOND)
		return JSON_C_VISIT_RETURN_CONTINUE;
	size->entries += parent != NULL;
	size->bytes += key ? strlen(key) : 0;
	if (json_object_is_type(value, json_type_string))
		size->bytes += (size_t)json_object_get_string_len(value);
	return JSON_C_VISIT_RETURN_CONTINUE;
}

int nsi_json_whole(const char *file, const char *text, json_object *top, struct nsi_error *err)
{
	struct nsi_json_size wanted, have = {0};

	nsi_json_size(text, &wanted);
	json_c_visit(top, 0, add_up, &have);
	if (have.entries == wanted.entries && (wanted.unsure || have.bytes == wanted.bytes))
		return 0;
	return nsi_fail(err, ENOMEM, "reading", file, NULL);
}
