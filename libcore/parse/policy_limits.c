/* The policy's group "limits": what no container.json may exceed. One line of the table for each. */
#include "../base/str.h"
#include "policy.h"
#include "resources.h"

#include <libconfig.h>
#include <stdio.h>
#include <string.h>

struct limit_reader {
	const char *path;
	struct nsi_decision *options;
	struct nsi_error *err;
};

static int fault(struct limit_reader *r, const config_setting_t *at, const char *hint, const char *what)
{
	return nsi_fail_at(r->err, r->path, (int)config_setting_source_line(at), 0, hint, "%s", what);
}

static bool whole_number(const config_setting_t *s, uint64_t *ret)
{
	int type = config_setting_type(s);

	if ((type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64) || config_setting_get_int64(s) < 0)
		return false;
	*ret = (uint64_t)config_setting_get_int64(s);
	return true;
}

static int read_size(struct limit_reader *r, const config_setting_t *s, enum nsi_limit limit, uint64_t least)
{
	const char *text = config_setting_get_string(s);
	uint64_t bytes;
	char what[96];

	if (!(text ? nsi_parse_size(text, &bytes) : whole_number(s, &bytes)) || bytes < least) {
		snprintf(what, sizeof(what), "\"%s\" must be a size in bytes, K, M, G or T%s",
			config_setting_name(s), least ? ", at least 1M" : "");
		return fault(r, s, "for example \"512M\"", what);
	}
	nsi_limit_put(&r->options->limits, limit, bytes);
	return 0;
}

static int read_memory(struct limit_reader *r, const config_setting_t *s)
{
	return read_size(r, s, NSI_MEMORY_MAX, NSI_MEMORY_LEAST);
}

static int read_swap(struct limit_reader *r, const config_setting_t *s)
{
	return read_size(r, s, NSI_MEMORY_SWAP, 0);
}

static int read_cpu(struct limit_reader *r, const config_setting_t *s)
{
	const char *text = config_setting_get_string(s);

	if (!text || !nsi_parse_cpu(text, &r->options->limits))
		return fault(r, s, "for example \"100%\"",
			"\"cpu\" must be a percentage of one CPU, or QUOTA/PERIOD in microseconds");
	return 0;
}

static int read_pids(struct limit_reader *r, const config_setting_t *s)
{
	uint64_t n;

	if (!whole_number(s, &n) || n < 1 || n > NSI_PIDS_MOST)
		return fault(r, s, NULL, "\"pids\" must be between 1 and 4194304");
	nsi_limit_put(&r->options->limits, NSI_PIDS_MAX, n);
	return 0;
}

static int read_clamp(struct limit_reader *r, const config_setting_t *s)
{
	if (config_setting_type(s) != CONFIG_TYPE_BOOL)
		return fault(r, s, NULL, "\"clamp\" must be true or false");
	r->options->clamp = config_setting_get_bool(s);
	return 0;
}

static const struct {
	const char *name;
	int (*read)(struct limit_reader *r, const config_setting_t *s);
} table[] = {
	{"memory", read_memory},
	{"swap", read_swap},
	{"cpu", read_cpu},
	{"pids", read_pids},
	{"clamp", read_clamp},
};

enum { N_LIMITS = sizeof(table) / sizeof(table[0]) };

static int unknown(struct limit_reader *r, const config_setting_t *s)
{
	const char *names[N_LIMITS + 1] = {0}, *name = config_setting_name(s);
	char hint[96] = "", what[128];

	for (size_t i = 0; i < N_LIMITS; i++)
		names[i] = table[i].name;
	const char *near = nsi_nearest(name, names);
	if (near)
		snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
	snprintf(what, sizeof(what), "unknown limit \"%.60s\"", name);
	return fault(r, s, hint, what);
}

int nsi_read_limits(
	const char *path, const config_setting_t *group, struct nsi_decision *options, struct nsi_error *err)
{
	struct limit_reader r = {.path = path, .options = options, .err = err};
	int res = 0;

	if (!group)
		return 0;
	if (!config_setting_is_group(group))
		return fault(&r, group, NULL, "\"limits\" must be a group: { memory = \"1G\"; ... }");
	for (int i = 0; res == 0 && i < config_setting_length(group); i++) {
		const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
		size_t k = 0;

		while (k < N_LIMITS && strcmp(table[k].name, config_setting_name(s)) != 0)
			k++;
		res = k < N_LIMITS ? table[k].read(&r, s) : unknown(&r, s);
	}
	return res;
}
