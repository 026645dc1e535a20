/* The policy's word on recordings: what is recorded, where that is kept, and how much of it. */
#include "policy_read.h"

#include "../base/str.h"
#include "resources.h"

#include <stdio.h>
#include <string.h>

/* Less than that would not hold a login. */
enum { SIZE_LEAST = 64 * 1024 };

static int read_bool(struct reader *r, const config_setting_t *group, const char *name, bool *value)
{
	const config_setting_t *s = config_setting_get_member(group, name);
	char what[96];

	if (!s)
		return 0;
	if (config_setting_type(s) != CONFIG_TYPE_BOOL) {
		snprintf(what, sizeof(what), "\"%s\" must be true or false", name);
		return nsi_policy_fault(r, s, NULL, what);
	}
	*value = config_setting_get_bool(s);
	return 0;
}

static int read_size(struct reader *r, const config_setting_t *group, const char *name, uint64_t *value)
{
	const config_setting_t *s = config_setting_get_member(group, name);
	const char *text = s ? config_setting_get_string(s) : NULL;
	char what[96];

	if (s && (!text || !nsi_parse_size(text, value) || *value < SIZE_LEAST)) {
		snprintf(what, sizeof(what), "\"%s\" must be a size in bytes, K, M, G or T, at least 64K",
			name);
		return nsi_policy_fault(r, s, "for example \"64M\"", what);
	}
	return 0;
}

int nsi_policy_record(struct reader *r, const config_setting_t *group, struct nsi_recording *recording)
{
	const config_setting_t *s = config_setting_get_member(group, "record");
	const char *text = s ? config_setting_get_string(s) : NULL;

	if (s && (!text || (strcmp(text, "tty") != 0 && strcmp(text, "none") != 0)))
		return nsi_policy_fault(r, s, NULL, "\"record\" must be \"none\" or \"tty\"");
	if (s)
		recording->tty = strcmp(text, "tty") == 0;
	if (read_bool(r, group, "record_input", &recording->input) < 0 ||
		read_bool(r, group, "record_required", &recording->required) < 0)
		return -EINVAL;
	return read_size(r, group, "record_size", &recording->size);
}

static int read_dir(struct reader *r, const config_setting_t *s, struct nsi_record_store *store)
{
	const char *text = s ? config_setting_get_string(s) : NSI_RECORD_DIR;

	if (!text || text[0] != '/' || strchr(text, '\n') || !nsi_copy(store->dir, sizeof(store->dir), text))
		return nsi_policy_fault(
			r, s, NULL, "\"record_dir\" must be an absolute path of at most 255 characters");
	return 0;
}

int nsi_policy_store(struct reader *r, const config_setting_t *root, struct nsi_record_store *store)
{
	const config_setting_t *age = config_setting_get_member(root, "record_age");

	if (read_dir(r, config_setting_get_member(root, "record_dir"), store) < 0)
		return -EINVAL;
	if (age && (config_setting_type(age) != CONFIG_TYPE_INT || config_setting_get_int(age) < 1))
		return nsi_policy_fault(
			r, age, NULL, "\"record_age\" must be a number of days of at least 1");
	if (age)
		store->days = config_setting_get_int(age);
	return read_size(r, root, "record_total", &store->total);
}
