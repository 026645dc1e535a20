/* A seccomp profile; and the key "seccomp", which names it. */
#include "seccomp_profile.h"

#include "../base/str.h"
#include "mounts.h"
#include "names.h"
#include "spec_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int nsi_read_seccomp(struct nsi_reader *r, const char *key, json_object *value)
{
	struct nsi_process_spec *p = &r->spec->process;
	const char *text = json_object_get_string(value);
	char normal[1024];

	p->seccomp_off = strcmp(text, "off") == 0;
	if (p->seccomp_off || strcmp(text, "default") == 0)
		return 0;
	if (text[0] != '/' || !nsi_normal_path(text, normal, sizeof(normal)) ||
		!nsi_copy(p->seccomp_profile, sizeof(p->seccomp_profile), normal))
		return nsi_complain(r, key, -1, NULL,
			"\"seccomp\" must be \"default\", \"off\", or the path of a profile on the host");
	return 0;
}

/* ------------------------------------------------------------------ words */

static const char *const action_names[] = {"SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP",
	"SCMP_ACT_ERRNO", "SCMP_ACT_LOG", "SCMP_ACT_ALLOW", NULL};
static const char *const op_names[] = {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ",
	"SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ", NULL};

static int word(
	struct nsi_reader *r, const char *key, json_object *value, const char *what, const char *const *names)
{
	const char *text = json_object_get_string(value);

	for (int i = 0; names[i]; i++)
		if (strcmp(names[i], text) == 0)
			return i;
	nsi_complain_unknown(r, key, -1, what, text, names);
	return -1;
}

static int read_action(
	struct nsi_reader *r, const char *key, json_object *value, enum nsi_profile_action *ret)
{
	const char *text = json_object_get_string(value);

	if (strcmp(text, "SCMP_ACT_NOTIFY") == 0 || strcmp(text, "SCMP_ACT_TRACE") == 0)
		return nsi_complain(r, key, -1, NULL,
			"\"%s\" needs somebody outside who answers, and there is none", text);
	int action = strcmp(text, "SCMP_ACT_KILL") == 0 ? NSI_ACT_KILL_THREAD
							: word(r, key, value, "action", action_names);
	if (action < 0)
		return -EINVAL;
	*ret = (enum nsi_profile_action)action;
	return 0;
}

static int read_errno(struct nsi_reader *r, const char *key, json_object *value, unsigned *ret)
{
	int64_t number = json_object_get_int64(value);

	if (number < 0 || number > 4095)
		return nsi_complain(r, key, -1, NULL, "\"%s\" must be between 0 and 4095", key);
	*ret = (unsigned)number;
	return 0;
}

static int for_people(struct nsi_reader *r, const char *key, json_object *value)
{
	(void)r, (void)key, (void)value;
	return 0;
}

/* ------------------------------------------------------------------ conditions */

static struct nsi_profile_rule *current(struct nsi_reader *r)
{
	return &r->profile->rules[r->profile->n_rules];
}

static int one_capability(struct nsi_reader *r, const char *key, int index, const char *text, uint64_t *set)
{
	int number = nsi_capability_number(text);

	if (number < 0)
		return nsi_complain_unknown(r, key, index, "capability", text, nsi_capability_names());
	*set |= UINT64_C(1) << number;
	return 0;
}

static int one_arch(struct nsi_reader *r, const char *key, int index, const char *text, char list[128])
{
	size_t used = strlen(list);

	if (!text[0] || strchr(text, ' ') || used + strlen(text) + 2 > 128)
		return nsi_complain(
			r, key, index, NULL, "\"arches\" must hold a few names such as \"amd64\"");
	snprintf(list + used, 128 - used, "%s ", text);
	return 0;
}

static int read_kernel(struct nsi_reader *r, const char *key, json_object *value, unsigned *ret)
{
	const char *rest = nsi_parse_version(json_object_get_string(value), ret);

	if (!rest || *rest)
		return nsi_complain(r, key, -1, NULL, "\"minKernel\" must be a version such as \"4.8\"");
	return 0;
}

/* The two conditions of a rule have the same keys. */
#define CONDITION(name)                                                                                      \
	static int name##_cap(struct nsi_reader *r, const char *key, int index, const char *text)            \
	{                                                                                                    \
		return one_capability(r, key, index, text, &current(r)->name.capabilities);                  \
	}                                                                                                    \
	static int name##_caps(struct nsi_reader *r, const char *key, json_object *value)                    \
	{                                                                                                    \
		return nsi_read_strings(r, key, value, name##_cap);                                          \
	}                                                                                                    \
	static int name##_arch(struct nsi_reader *r, const char *key, int index, const char *text)           \
	{                                                                                                    \
		return one_arch(r, key, index, text, current(r)->name.arches);                               \
	}                                                                                                    \
	static int name##_arches(struct nsi_reader *r, const char *key, json_object *value)                  \
	{                                                                                                    \
		return nsi_read_strings(r, key, value, name##_arch);                                         \
	}                                                                                                    \
	static int name##_kernel(struct nsi_reader *r, const char *key, json_object *value)                  \
	{                                                                                                    \
		return read_kernel(r, key, value, &current(r)->name.kernel);                                 \
	}                                                                                                    \
	static const struct nsi_key name##_keys[] = {                                                        \
		{"caps", json_type_array, "a list of capability names", name##_caps},                        \
		{"arches", json_type_array, "a list of names", name##_arches},                               \
		{"minKernel", json_type_string, "a string", name##_kernel},                                  \
		{0},                                                                                         \
	};                                                                                                   \
	static int read_##name(struct nsi_reader *r, const char *key, json_object *value)                    \
	{                                                                                                    \
		return nsi_read_object(r, value, key, name##_keys);                                          \
	}

CONDITION(includes)
CONDITION(excludes)

/* ------------------------------------------------------------------ arguments */

static struct nsi_profile_arg *argument(struct nsi_reader *r)
{
	return &current(r)->args[current(r)->n_args];
}

static int read_index(struct nsi_reader *r, const char *key, json_object *value)
{
	int64_t number = json_object_get_int64(value);

	if (number < 0 || number > 5)
		return nsi_complain(r, key, -1, NULL, "\"index\" must be between 0 and 5");
	argument(r)->index = (unsigned)number;
	return 0;
}

static int read_value(struct nsi_reader *r, const char *key, json_object *value)
{
	bool two = strcmp(key, "valueTwo") == 0;

	if (json_object_get_int64(value) < 0)
		return nsi_complain(r, key, -1, NULL, "\"%s\" must not be negative", key);
	*(two ? &argument(r)->value_two : &argument(r)->value) = json_object_get_uint64(value);
	return 0;
}

static int read_op(struct nsi_reader *r, const char *key, json_object *value)
{
	int op = word(r, key, value, "comparison", op_names);

	if (op < 0)
		return -EINVAL;
	argument(r)->op = (enum nsi_profile_op)op;
	return 0;
}

static const struct nsi_key argument_keys[] = {
	{"index", json_type_int, "a whole number", read_index},
	{"value", json_type_int, "a whole number", read_value},
	{"valueTwo", json_type_int, "a whole number", read_value},
	{"op", json_type_string, "a string", read_op},
	{0},
};

static int one_argument(struct nsi_reader *r, int index, json_object *entry)
{
	if (current(r)->n_args == NSI_PROFILE_MAX_ARGS)
		return nsi_complain_entry(
			r, "args", index, NULL, "more than %d conditions", NSI_PROFILE_MAX_ARGS);
	int res = nsi_read_object(r, entry, "", argument_keys);
	if (res == 0 && (!json_object_object_get_ex(entry, "index", NULL) ||
				!json_object_object_get_ex(entry, "op", NULL)))
		return nsi_complain_entry(r, "args", index, NULL, "a condition needs \"index\" and \"op\"");
	current(r)->n_args += res == 0;
	return res;
}

static int read_args(struct nsi_reader *r, const char *key, json_object *value)
{
	return value ? nsi_read_objects(r, key, value, one_argument) : 0;
}

/* ------------------------------------------------------------------ rules */

/* One that is longer is no call's name, and passed over like any that is not known. */
static int one_name(struct nsi_reader *r, const char *key, int index, const char *text)
{
	struct nsi_profile_rule *rule = current(r);

	(void)key, (void)index;
	if (nsi_copy(rule->names[rule->n_names], NSI_CALL_SIZE, text))
		rule->n_names++;
	return 0;
}

static int make_room(struct nsi_reader *r, const char *key, size_t n)
{
	if (n > NSI_PROFILE_MAX_NAMES || current(r)->names)
		return nsi_complain(r, key, -1, NULL,
			n > NSI_PROFILE_MAX_NAMES ? "more than 1024 names"
						  : "\"name\" and \"names\" do not go together");
	current(r)->names = calloc(n + 1, sizeof(*current(r)->names));
	return current(r)->names ? 0 : nsi_fail(r->err, ENOMEM, "reading", r->file, NULL);
}

static int read_names(struct nsi_reader *r, const char *key, json_object *value)
{
	int res = make_room(r, key, json_object_array_length(value));

	return res < 0 ? res : nsi_read_strings(r, key, value, one_name);
}

static int read_name(struct nsi_reader *r, const char *key, json_object *value)
{
	int res = make_room(r, key, 1);

	return res < 0 ? res : one_name(r, key, -1, json_object_get_string(value));
}

static int rule_action(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_action(r, key, value, &current(r)->action);
}

static int rule_errno(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_errno(r, key, value, &current(r)->errno_value);
}

static const struct nsi_key rule_keys[] = {
	{"names", json_type_array, "a list of strings", read_names},
	{"name", json_type_string, "a string", read_name},
	{"action", json_type_string, "a string", rule_action},
	{"errnoRet", json_type_int, "a whole number", rule_errno},
	{"errno", json_type_string, "a string", for_people},
	{"args", json_type_array, "a list of objects", read_args},
	{"includes", json_type_object, "an object", read_includes},
	{"excludes", json_type_object, "an object", read_excludes},
	{"comment", json_type_string, "a string", for_people},
	{0},
};

static int one_rule(struct nsi_reader *r, int index, json_object *entry)
{
	struct nsi_profile_rule *rule = current(r);
	int res;

	*rule = (struct nsi_profile_rule){.errno_value = EPERM};
	res = nsi_read_object(r, entry, "", rule_keys);
	r->profile->n_rules++; /* what it has got is freed with the rest */
	if (res == 0 && (!rule->names || !json_object_object_get_ex(entry, "action", NULL)))
		return nsi_complain_entry(
			r, "syscalls", index, NULL, "a rule needs \"names\" and \"action\"");
	return res;
}

static int read_rules(struct nsi_reader *r, const char *key, json_object *value)
{
	size_t n = json_object_array_length(value);

	if (n > NSI_PROFILE_MAX_RULES)
		return nsi_complain(r, key, -1, NULL, "more than %d rules", NSI_PROFILE_MAX_RULES);
	r->profile->rules = calloc(n + 1, sizeof(*r->profile->rules));
	if (!r->profile->rules)
		return nsi_fail(r->err, ENOMEM, "reading", r->file, NULL);
	return nsi_read_objects(r, key, value, one_rule);
}

/* ------------------------------------------------------------------ the whole */

#if defined(__x86_64__)
static const char own_architecture[] = "SCMP_ARCH_X86_64", other_word_size[] = "SCMP_ARCH_X86";
#elif defined(__aarch64__)
static const char own_architecture[] = "SCMP_ARCH_AARCH64", other_word_size[] = "SCMP_ARCH_ARM";
#elif defined(__riscv)
static const char own_architecture[] = "SCMP_ARCH_RISCV64", other_word_size[] = "none";
#else
static const char own_architecture[] = "none", other_word_size[] = "none";
#endif

static int one_architecture(struct nsi_reader *r, const char *key, int index, const char *text)
{
	if (strncmp(text, "SCMP_ARCH_", 10) != 0)
		return nsi_complain(
			r, key, index, NULL, "\"%.40s\" must be a name such as \"SCMP_ARCH_X86_64\"", text);
	r->profile->architectures = true;
	r->profile->own_architecture |= strcmp(text, own_architecture) == 0;
	r->profile->other_word_size |= strcmp(text, other_word_size) == 0;
	return 0;
}

static int read_architectures(struct nsi_reader *r, const char *key, json_object *value)
{
	return nsi_read_strings(r, key, value, one_architecture);
}

static int map_architecture(struct nsi_reader *r, const char *key, json_object *value)
{
	return one_architecture(r, key, -1, json_object_get_string(value));
}

/* Those of another machine are as good: they do not run here. */
static int one_sub_architecture(struct nsi_reader *r, const char *key, int index, const char *text)
{
	(void)key, (void)index;
	r->profile->other_word_size |= strcmp(text, other_word_size) == 0;
	return 0;
}

static int read_sub_architectures(struct nsi_reader *r, const char *key, json_object *value)
{
	if (value && !json_object_is_type(value, json_type_array))
		return nsi_complain(r, key, -1, NULL, "\"%s\" must be a list of strings", key);
	return value ? nsi_read_strings(r, key, value, one_sub_architecture) : 0;
}

static const struct nsi_key arch_keys[] = {
	{"architecture", json_type_string, "a string", map_architecture},
	{"subArchitectures", json_type_null, NULL, read_sub_architectures},
	{0},
};

static int one_arch_map(struct nsi_reader *r, int index, json_object *entry)
{
	(void)index;
	return nsi_read_object(r, entry, "", arch_keys);
}

static int read_arch_map(struct nsi_reader *r, const char *key, json_object *value)
{
	return nsi_read_objects(r, key, value, one_arch_map);
}

static int one_flag(struct nsi_reader *r, const char *key, int index, const char *text)
{
	static const char *const harmless[] = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
		"SECCOMP_FILTER_FLAG_TSYNC", NULL};

	for (int i = 0; harmless[i]; i++)
		if (strcmp(harmless[i], text) == 0)
			return 0;
	return nsi_complain_unknown(r, key, index, "flag", text, harmless);
}

static int read_flags(struct nsi_reader *r, const char *key, json_object *value)
{
	return nsi_read_strings(r, key, value, one_flag);
}

static int default_action(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_action(r, key, value, &r->profile->otherwise);
}

static int default_errno(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_errno(r, key, value, &r->profile->errno_value);
}

static const struct nsi_key profile_keys[] = {
	{"defaultAction", json_type_string, "a string", default_action},
	{"defaultErrnoRet", json_type_int, "a whole number", default_errno},
	{"defaultErrno", json_type_string, "a string", for_people},
	{"architectures", json_type_array, "a list of strings", read_architectures},
	{"archMap", json_type_array, "a list of objects", read_arch_map},
	{"flags", json_type_array, "a list of strings", read_flags},
	{"syscalls", json_type_array, "a list of objects", read_rules},
	{0},
};

int nsi_profile_parse(const char *file, const char *text, size_t len, struct nsi_profile **ret_profile,
	struct nsi_error *err)
{
	struct nsi_reader r = {.file = file, .text = text, .err = err};
	json_object *top = NULL;
	int res;

	if (len > NSI_PROFILE_MAX_BYTES || strlen(text) != len)
		return nsi_fail_at(err, file, 0, 0, NULL,
			len > NSI_PROFILE_MAX_BYTES ? "larger than 256 KiB" : "it contains a NUL byte");
	r.profile = calloc(1, sizeof(*r.profile));
	if (!r.profile)
		return nsi_fail(err, ENOMEM, "reading", file, NULL);
	r.profile->errno_value = EPERM;
	res = nsi_json_parse(file, text, len, &top, err);
	if (res == 0)
		res = nsi_json_check(file, text, err);
	if (res == 0)
		res = nsi_json_whole(file, text, top, err);
	if (res == 0)
		res = nsi_read_object(&r, top, "", profile_keys);
	if (res == 0 && !json_object_object_get_ex(top, "defaultAction", NULL))
		res = nsi_fail_at(err, file, 1, 1, NULL, "the profile lacks \"defaultAction\"");
	if (res == 0 && r.profile->architectures && !r.profile->own_architecture)
		res = nsi_fail_at(
			err, file, 1, 1, NULL, "the profile is not for this machine's architecture");
	json_object_put(top);
	if (res < 0)
		nsi_profile_free(r.profile);
	else
		*ret_profile = r.profile;
	return res;
}

void nsi_profile_free(struct nsi_profile *profile)
{
	if (!profile)
		return;
	for (int i = 0; i < profile->n_rules; i++)
		free(profile->rules[i].names);
	free(profile->rules);
	free(profile);
}
