/* The policy's word on memory, processors and processes: what no container, or session, may use more of. */
#include "policy_read.h"
#include "resources.h"

#include <stdio.h>

static bool whole_number(const config_setting_t *s, uint64_t *ret)
{
	int type = config_setting_type(s);

	if ((type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64) || config_setting_get_int64(s) < 0)
		return false;
	*ret = (uint64_t)config_setting_get_int64(s);
	return true;
}

static int read_size(struct reader *r, const config_setting_t *limits, const char *name, enum nsi_limit limit,
	uint64_t least, struct nsi_resources *ret)
{
	const config_setting_t *s = config_setting_get_member(limits, name);
	uint64_t bytes;
	char what[96];

	if (!s)
		return 0;
	const char *text = config_setting_get_string(s);
	if (!(text ? nsi_parse_size(text, &bytes) : whole_number(s, &bytes)) || bytes < least) {
		snprintf(what, sizeof(what), "\"%s\" must be a size in bytes, K, M, G or T%s", name,
			least ? ", at least 1M" : "");
		return nsi_policy_fault(r, s, "for example \"512M\"", what);
	}
	nsi_limit_put(ret, limit, bytes);
	return 0;
}

static int read_cpu(struct reader *r, const config_setting_t *s, struct nsi_resources *ret)
{
	const char *text = s ? config_setting_get_string(s) : NULL;

	if (s && (!text || !nsi_parse_cpu(text, ret)))
		return nsi_policy_fault(r, s, "for example \"100%\"",
			"\"cpu\" must be a percentage of one CPU, or QUOTA/PERIOD in microseconds");
	return 0;
}

static int read_pids(struct reader *r, const config_setting_t *s, struct nsi_resources *ret)
{
	uint64_t n;

	if (!s)
		return 0;
	if (!whole_number(s, &n) || n < 1 || n > NSI_PIDS_MOST)
		return nsi_policy_fault(r, s, NULL, "\"pids\" must be between 1 and 4194304");
	nsi_limit_put(ret, NSI_PIDS_MAX, n);
	return 0;
}

static int read_clamp(struct reader *r, const config_setting_t *s, struct nsi_decision *options)
{
	if (!s)
		return 0;
	if (config_setting_type(s) != CONFIG_TYPE_BOOL)
		return nsi_policy_fault(r, s, NULL, "\"clamp\" must be true or false");
	options->clamp = config_setting_get_bool(s);
	return 0;
}

static int read_resources(struct reader *r, const config_setting_t *group, struct nsi_resources *ret)
{
	if (read_size(r, group, "memory", NSI_MEMORY_MAX, NSI_MEMORY_LEAST, ret) < 0 ||
		read_size(r, group, "swap", NSI_MEMORY_SWAP, 0, ret) < 0 ||
		read_cpu(r, config_setting_get_member(group, "cpu"), ret) < 0)
		return -EINVAL;
	return read_pids(r, config_setting_get_member(group, "pids"), ret);
}

int nsi_policy_resource_limits(struct reader *r, const config_setting_t *limits, struct nsi_decision *options)
{
	if (read_resources(r, limits, &options->limits) < 0)
		return -EINVAL;
	return read_clamp(r, config_setting_get_member(limits, "clamp"), options);
}

int nsi_policy_session_limits(struct reader *r, const config_setting_t *group, struct nsi_decision *options)
{
	static const char *const session_names[] = {"memory", "swap", "cpu", "pids", NULL};
	const config_setting_t *limits = config_setting_get_member(group, "session_limits");

	if (!limits)
		return 0;
	if (!config_setting_is_group(limits))
		return nsi_policy_fault(r, limits, NULL, "\"session_limits\" must be a group: { ... }");
	if (nsi_policy_names(r, limits, session_names) < 0)
		return -EINVAL;
	return read_resources(r, limits, &options->session_limits);
}
