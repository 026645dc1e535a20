#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/str.h"
#include "names.h"
#include "spec_keys.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static int read_hostname(struct nsi_reader *r, const char *key, json_object *value)
{
	const char *name = json_object_get_string(value);

	if (!nsi_copy(r->spec->hostname, sizeof(r->spec->hostname), name))
		return nsi_complain(r, key, -1, NULL, "\"hostname\" is longer than 64 characters");
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && *name != '-' && *name != '.' && *name != '_')
			return nsi_complain(r, key, -1, NULL,
				"\"hostname\" may hold letters, digits, '-', '.' and '_' only");
	return 0;
}

static int one_variable(struct nsi_reader *r, const char *key, int index, const char *text)
{
	if (index >= NSI_SPEC_MAX_ENV)
		return nsi_complain(r, key, index, NULL, "more than %d variables", NSI_SPEC_MAX_ENV);
	if (text[0] == '=' || !strchr(text, '='))
		return nsi_complain(r, key, index, NULL, "\"%.60s\" is not of the form NAME=value", text);
	r->spec->environment[index] = strdup(text);
	if (!r->spec->environment[index])
		return nsi_fail(r->err, ENOMEM, "reading", r->file, NULL);
	return 0;
}

static int read_environment(struct nsi_reader *r, const char *key, json_object *value)
{
	return nsi_read_strings(r, key, value, one_variable);
}

static int one_namespace(struct nsi_reader *r, const char *key, int index, const char *text)
{
	uint64_t flag = nsi_namespace_flag(text);

	if (!flag)
		return nsi_complain_unknown(r, key, index, "namespace", text, nsi_namespace_names());
	r->spec->namespaces |= flag;
	return 0;
}

static int read_namespaces(struct nsi_reader *r, const char *key, json_object *value)
{
	return nsi_read_strings(r, key, value, one_namespace);
}

static int read_readonly_fs(struct nsi_reader *r, const char *key, json_object *value)
{
	(void)key;
	r->spec->readonly_fs = json_object_get_boolean(value);
	return 0;
}

static int read_user(struct nsi_reader *r, const char *key, json_object *value)
{
	const char *text = json_object_get_string(value);

	if (!nsi_copy(r->spec->user, sizeof(r->spec->user), text) || strpbrk(text, "\n/"))
		return nsi_complain(
			r, key, -1, NULL, "\"user\" must be a name or number, with an optional :group");
	return 0;
}

static int read_working_dir(struct nsi_reader *r, const char *key, json_object *value)
{
	const char *text = json_object_get_string(value);

	if (text[0] != '/' || !nsi_copy(r->spec->working_dir, sizeof(r->spec->working_dir), text))
		return nsi_complain(r, key, -1, NULL, "\"working_dir\" must be an absolute path");
	return 0;
}

static const struct nsi_key top_keys[] = {
	{"hostname", json_type_string, "a string", read_hostname},
	{"environment", json_type_array, "a list of strings", read_environment},
	{"namespaces", json_type_array, "a list of strings", read_namespaces},
	{"uid_mappings", json_type_array, "a list of objects", nsi_read_uid_mappings},
	{"gid_mappings", json_type_array, "a list of objects", nsi_read_gid_mappings},
	{"capabilities", json_type_null, NULL, nsi_read_capabilities},
	{"network", json_type_null, NULL, nsi_read_network},
	{"mounts", json_type_array, "a list of objects", nsi_read_mounts},
	{"devices", json_type_array, "a list of paths and objects", nsi_read_devices},
	{"resources", json_type_object, "an object", nsi_read_resources},
	{"readonly_fs", json_type_boolean, "true or false", read_readonly_fs},
	{"user", json_type_string, "a string", read_user},
	{"working_dir", json_type_string, "a string", read_working_dir},
	{"rlimits", json_type_array, "a list of objects", nsi_read_rlimits},
	{"no_new_privs", json_type_boolean, "true or false", nsi_read_no_new_privs},
	{"seccomp", json_type_string, "\"default\", \"off\" or a path", nsi_read_seccomp},
	{"oom_score_adj", json_type_int, "a whole number", nsi_read_oom_score_adj},
	{"sysctl", json_type_object, "an object", nsi_read_sysctl},
	{"domainname", json_type_string, "a string", nsi_read_domainname},
	{"masked_paths", json_type_array, "a list of strings", nsi_read_masked_paths},
	{"readonly_paths", json_type_array, "a list of strings", nsi_read_readonly_paths},
	{"timezone", json_type_string, "a string", nsi_read_timezone},
	{"labels", json_type_object, "an object of strings", nsi_read_labels},
	{0},
};

/* What one key cannot tell about itself. */
static int check_whole(struct nsi_reader *r)
{
	const struct nsi_spec *spec = r->spec;

	if (!(spec->namespaces & CLONE_NEWNS))
		return nsi_complain(r, "namespaces", -1, "add \"NEWNS\" to \"namespaces\"",
			"without NEWNS the root directory cannot be changed for the container alone");
	if (spec->hostname[0] && !(spec->namespaces & CLONE_NEWUTS))
		return nsi_complain(r, "hostname", -1,
			"add \"NEWUTS\" to \"namespaces\", or remove \"hostname\"",
			"\"hostname\" would rename the host");
	int res = nsi_check_mappings(r);
	if (res == 0)
		res = nsi_check_network(r);
	return res < 0 ? res : nsi_check_process(r);
}

int nsi_spec_parse(
	const char *file, const char *text, size_t len, struct nsi_spec **ret_spec, struct nsi_error *err)
{
	struct nsi_reader r = {.file = file, .text = text, .err = err};
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
	nsi_copy_array(r.spec->working_dir, "/");
	res = nsi_json_parse(file, text, len, &top, err);
	if (res == 0)
		res = nsi_json_check(file, text, err);
	if (res == 0)
		res = nsi_json_whole(file, text, top, err);
	if (res == 0)
		res = nsi_read_object(&r, top, "", top_keys);
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
	free(spec->mounts);
	free(spec);
}
