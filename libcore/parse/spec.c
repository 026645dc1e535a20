#include "spec.h"

#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/str.h"
#include "json_text.h"
#include "names.h"

#include <ctype.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

struct reader {
	const char *file, *text;
	struct nsi_spec *spec;
	struct nsi_error *err;
	const char *path; /* of the object being read, for positions */
};

struct key {
	const char *name;
	enum json_type type; /* json_type_null: more than one is taken */
	const char *expected;
	int (*read)(struct reader *r, const char *key, json_object *value);
};

#define complain(r, key, index, hint, ...)                                                                   \
	({                                                                                                   \
		int line_, column_;                                                                          \
		nsi_json_locate((r)->text, (r)->path, key, index, &line_, &column_);                         \
		nsi_fail_at((r)->err, (r)->file, line_, column_, hint, __VA_ARGS__);                         \
	})

static int unknown_key(struct reader *r, const char *key, const struct key *table)
{
	const char *names[32] = {0};
	char hint[128] = "";

	for (size_t i = 0; table[i].name && i < 31; i++)
		names[i] = table[i].name;
	const char *near = nsi_nearest(key, names);
	if (near)
		snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
	return complain(r, key, -1, hint, "unknown key \"%s\"", key);
}

static int read_object(struct reader *r, json_object *object, const char *path, const struct key *table)
{
	const char *outer = r->path;
	int res = 0;

	r->path = path;
	json_object_object_foreach(object, name, value)
	{
		const struct key *k = table;

		while (k->name && strcmp(k->name, name) != 0)
			k++;
		if (!k->name)
			res = unknown_key(r, name, table);
		else if (k->type != json_type_null && !json_object_is_type(value, k->type))
			res = complain(r, name, -1, NULL, "\"%s\" must be %s, not %s", name, k->expected,
				value ? json_type_to_name(json_object_get_type(value)) : "null");
		else
			res = k->read(r, name, value);
		if (res < 0)
			break;
	}
	r->path = outer;
	return res;
}

static int read_hostname(struct reader *r, const char *key, json_object *value)
{
	const char *name = json_object_get_string(value);

	if (!nsi_copy(r->spec->hostname, sizeof(r->spec->hostname), name))
		return complain(r, key, -1, NULL, "\"hostname\" is longer than 64 characters");
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && *name != '-' && *name != '.' && *name != '_')
			return complain(r, key, -1, NULL,
				"\"hostname\" may hold letters, digits, '-', '.' and '_' only");
	return 0;
}

/* Call `one` for each string of a list. */
static int read_strings(struct reader *r, const char *key, json_object *list,
	int (*one)(struct reader *, const char *key, int index, const char *text))
{
	size_t n = json_object_array_length(list);

	for (size_t i = 0; i < n; i++) {
		json_object *entry = json_object_array_get_idx(list, i);
		int res;

		if (!json_object_is_type(entry, json_type_string))
			return complain(
				r, key, (int)i, NULL, "entry %zu of \"%s\" must be a string", i + 1, key);
		res = one(r, key, (int)i, json_object_get_string(entry));
		if (res < 0)
			return res;
	}
	return 0;
}

static int one_variable(struct reader *r, const char *key, int index, const char *text)
{
	if (index >= NSI_SPEC_MAX_ENV)
		return complain(r, key, index, NULL, "more than %d variables", NSI_SPEC_MAX_ENV);
	if (text[0] == '=' || !strchr(text, '='))
		return complain(r, key, index, NULL, "\"%.60s\" is not of the form NAME=value", text);
	r->spec->environment[index] = strdup(text);
	if (!r->spec->environment[index])
		return nsi_fail(r->err, ENOMEM, "reading", r->file, NULL);
	return 0;
}

static int read_environment(struct reader *r, const char *key, json_object *value)
{
	return read_strings(r, key, value, one_variable);
}

static int one_namespace(struct reader *r, const char *key, int index, const char *text)
{
	uint64_t flag = nsi_namespace_flag(text);

	if (!flag) {
		const char *near = nsi_nearest(text, nsi_namespace_names());
		char hint[96];

		snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near ? near : "NEWNS");
		return complain(r, key, index, hint, "unknown namespace \"%.40s\"", text);
	}
	r->spec->namespaces |= flag;
	return 0;
}

static int read_namespaces(struct reader *r, const char *key, json_object *value)
{
	return read_strings(r, key, value, one_namespace);
}

static int capability(struct reader *r, const char *key, int index, const char *text, uint64_t *ret_bit)
{
	int number = nsi_capability_number(text);

	if (number < 0) {
		const char *near = nsi_nearest(text, nsi_capability_names());
		char hint[96] = "";

		if (near)
			snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
		return complain(r, key, index, hint, "unknown capability \"%.40s\"", text);
	}
	*ret_bit = UINT64_C(1) << number;
	return 0;
}

static int one_drop(struct reader *r, const char *key, int index, const char *text)
{
	uint64_t bit = 0;
	int res = capability(r, key, index, text, &bit);

	r->spec->capabilities &= ~bit;
	return res;
}

static int one_keep(struct reader *r, const char *key, int index, const char *text)
{
	uint64_t bit = 0;
	int res = capability(r, key, index, text, &bit);

	r->spec->capabilities |= bit;
	return res;
}

static int read_drop(struct reader *r, const char *key, json_object *value)
{
	return read_strings(r, key, value, one_drop);
}

static int read_keep(struct reader *r, const char *key, json_object *value)
{
	r->spec->capabilities = 0;
	return read_strings(r, key, value, one_keep);
}

static const struct key capability_keys[] = {
	{"keep", json_type_array, "a list of capability names", read_keep},
	{"drop", json_type_array, "a list of capability names", read_drop},
	{0},
};

static int read_capabilities(struct reader *r, const char *key, json_object *value)
{
	json_object *other;

	if (json_object_is_type(value, json_type_array))
		return read_drop(r, key, value); /* what the list meant originally: capabilities to drop */
	if (!json_object_is_type(value, json_type_object))
		return complain(r, key, -1, NULL,
			"\"capabilities\" must be a list of names to drop, or an object with \"keep\" or "
			"\"drop\"");
	if (json_object_object_get_ex(value, "keep", &other) &&
		json_object_object_get_ex(value, "drop", &other))
		return complain(r, key, -1, "\"keep\" already names all that remains",
			"\"capabilities\" has both \"keep\" and \"drop\"");
	return read_object(r, value, key, capability_keys);
}

static int read_address(struct reader *r, const char *key, json_object *value)
{
	if (r->spec->network.address.family)
		return complain(
			r, key, -1, NULL, "\"ip\" and \"address\" are the same key; give one of them");
	if (!nsi_parse_cidr(json_object_get_string(value), &r->spec->network.address))
		return complain(r, key, -1, "for example \"172.17.0.100/16\"",
			"\"%s\" must be an address with a prefix length", key);
	return 0;
}

static int read_gateway(struct reader *r, const char *key, json_object *value)
{
	const char *text = json_object_get_string(value);

	if (*text && !nsi_parse_ip(text, &r->spec->network.gateway))
		return complain(r, key, -1, "for example \"172.17.42.1\"", "\"gateway\" must be an address");
	return 0;
}

static int read_bridge(struct reader *r, const char *key, json_object *value)
{
	const char *text = json_object_get_string(value);

	if (!nsi_valid_ifname(text) ||
		!nsi_copy(r->spec->network.bridge, sizeof(r->spec->network.bridge), text))
		return complain(
			r, key, -1, NULL, "\"bridge\" must be an interface name of 1 to 15 characters");
	return 0;
}

static int read_mtu(struct reader *r, const char *key, json_object *value)
{
	int64_t mtu = json_object_get_int64(value);

	if (mtu != 0 && (mtu < 68 || mtu > 65535))
		return complain(r, key, -1, NULL, "\"mtu\" must be 0 or between 68 and 65535");
	r->spec->network.mtu = (unsigned)mtu;
	return 0;
}

static const struct key network_keys[] = {
	{"ip", json_type_string, "a string", read_address},
	{"address", json_type_string, "a string", read_address},
	{"gateway", json_type_string, "a string", read_gateway},
	{"bridge", json_type_string, "a string", read_bridge},
	{"mtu", json_type_int, "a whole number", read_mtu},
	{0},
};

static int read_network(struct reader *r, const char *key, json_object *value)
{
	struct nsi_network *net = &r->spec->network;
	int res = read_object(r, value, key, network_keys);

	if (res < 0)
		return res;
	net->present = true;
	if (!net->address.family)
		return complain(r, key, -1, NULL, "\"network\" lacks \"ip\"");
	if (!net->bridge[0])
		return complain(r, key, -1, NULL, "\"network\" lacks \"bridge\"");
	if (net->gateway.family && !nsi_address_in(&net->address, &net->gateway))
		return complain(r, key, -1, NULL, "\"gateway\" is not in the network of \"ip\"");
	return 0;
}

static int read_readonly_fs(struct reader *r, const char *key, json_object *value)
{
	(void)key;
	r->spec->readonly_fs = json_object_get_boolean(value);
	return 0;
}

static int read_user(struct reader *r, const char *key, json_object *value)
{
	const char *text = json_object_get_string(value);

	if (!nsi_copy(r->spec->user, sizeof(r->spec->user), text) || strpbrk(text, "\n/"))
		return complain(
			r, key, -1, NULL, "\"user\" must be a name or number, with an optional :group");
	return 0;
}

static int read_working_dir(struct reader *r, const char *key, json_object *value)
{
	const char *text = json_object_get_string(value);

	if (text[0] != '/' || !nsi_copy(r->spec->working_dir, sizeof(r->spec->working_dir), text))
		return complain(r, key, -1, NULL, "\"working_dir\" must be an absolute path");
	return 0;
}

static const struct key top_keys[] = {
	{"hostname", json_type_string, "a string", read_hostname},
	{"environment", json_type_array, "a list of strings", read_environment},
	{"namespaces", json_type_array, "a list of strings", read_namespaces},
	{"capabilities", json_type_null, NULL, read_capabilities},
	{"network", json_type_object, "an object", read_network},
	{"readonly_fs", json_type_boolean, "true or false", read_readonly_fs},
	{"user", json_type_string, "a string", read_user},
	{"working_dir", json_type_string, "a string", read_working_dir},
	{0},
};

/* What one key cannot tell about itself. */
static int check_whole(struct reader *r)
{
	const struct nsi_spec *spec = r->spec;

	if (!(spec->namespaces & CLONE_NEWNS))
		return complain(r, "namespaces", -1, "add \"NEWNS\" to \"namespaces\"",
			"without NEWNS the root directory cannot be changed for the container alone");
	if (spec->network.present && !(spec->namespaces & CLONE_NEWNET))
		return complain(r, "network", -1, "add \"NEWNET\" to \"namespaces\", or remove \"network\"",
			"\"network\" needs a network namespace");
	if (spec->hostname[0] && !(spec->namespaces & CLONE_NEWUTS))
		return complain(r, "hostname", -1, "add \"NEWUTS\" to \"namespaces\", or remove \"hostname\"",
			"\"hostname\" would rename the host");
	return 0;
}

static int parse_json(struct reader *r, size_t len, json_object **ret)
{
	struct json_tokener *tok = json_tokener_new_ex(NSI_SPEC_MAX_DEPTH);
	enum json_tokener_error why;
	int line, column;

	if (!tok)
		return nsi_fail(r->err, ENOMEM, "reading", r->file, NULL);
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	/* The terminating NUL is part of what is parsed: a lone number ends only there. */
	json_object *top = json_tokener_parse_ex(tok, r->text, (int)len + 1);
	why = json_tokener_get_error(tok);
	nsi_text_position(r->text, json_tokener_get_parse_end(tok), &line, &column);
	json_tokener_free(tok);
	if (why == json_tokener_error_depth)
		return nsi_fail_at(r->err, r->file, line, column, NULL, "nested deeper than %d levels",
			NSI_SPEC_MAX_DEPTH);
	if (why != json_tokener_success)
		return nsi_fail_at(r->err, r->file, line, column, NULL, "%s", json_tokener_error_desc(why));
	if (!json_object_is_type(top, json_type_object)) {
		json_object_put(top);
		return nsi_fail_at(r->err, r->file, 1, 1, NULL, "the top level must be an object");
	}
	*ret = top;
	return 0;
}

int nsi_spec_parse(
	const char *file, const char *text, size_t len, struct nsi_spec **ret_spec, struct nsi_error *err)
{
	struct reader r = {.file = file, .text = text, .err = err, .path = ""};
	json_object *top = NULL;
	int res;

	if (len > NSI_SPEC_MAX_BYTES)
		return nsi_fail_at(err, file, 0, 0, NULL, "larger than %d KiB", NSI_SPEC_MAX_BYTES / 1024);
	if (strlen(text) != len)
		return nsi_fail_at(err, file, 0, 0, NULL, "it contains a NUL byte");
	r.spec = calloc(1, sizeof(*r.spec));
	if (!r.spec)
		return nsi_fail(err, ENOMEM, "reading", file, NULL);
	r.spec->capabilities = nsi_capability_base();
	strcpy(r.spec->working_dir, "/");
	res = parse_json(&r, len, &top);
	if (res == 0)
		res = nsi_json_check(file, text, err);
	if (res == 0)
		res = read_object(&r, top, "", top_keys);
	if (res == 0)
		res = check_whole(&r);
	json_object_put(top);
	if (res < 0) {
		nsi_error_reason(err, "spec");
		nsi_spec_free(r.spec);
		return res;
	}
	*ret_spec = r.spec;
	return 0;
}

void nsi_spec_free(struct nsi_spec *spec)
{
	if (!spec)
		return;
	for (size_t i = 0; spec->environment[i]; i++)
		free(spec->environment[i]);
	free(spec);
}
