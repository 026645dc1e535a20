/* The policy's word on where root directories come from, and on what containers may mount of the host. */
#include "../base/str.h"
#include "mounts.h"
#include "policy_read.h"
#include "resources.h"

#include <stdio.h>
#include <string.h>

enum { CHANGES_LEAST = 1024 * 1024 };

/* The path, as text: what it expands to is checked when it is opened. */
static int check_path(struct reader *r, const config_setting_t *s, const char *path)
{
	const char *name = config_setting_name(s) ? config_setting_name(s) : NSI_MOUNT_LIMITS;
	char what[96];

	if (path[0] != '/') {
		snprintf(what, sizeof(what), "\"%s\" must be an absolute path", name);
		return nsi_policy_fault(r, s, NULL, what);
	}
	for (const char *p = strchr(path, '%'); p; p = strchr(p + 2, '%')) {
		if (p[1] && strchr("uhU%", p[1]))
			continue;
		snprintf(what, sizeof(what), "\"%%%c\" in \"%s\" is unknown", p[1] ? p[1] : ' ', name);
		return nsi_policy_fault(
			r, s, "%u is the user, %U the uid, %h the home directory, %% a percent sign", what);
	}
	return 0;
}

static int read_path(struct reader *r, const config_setting_t *rule, const char *name, const char **ret)
{
	const config_setting_t *s = config_setting_get_member(rule, name);
	char what[64];

	if (!s)
		return 0;
	snprintf(what, sizeof(what), "\"%s\" must be a path", name);
	*ret = config_setting_get_string(s);
	return *ret ? check_path(r, s, *ret) : nsi_policy_fault(r, s, NULL, what);
}

static int read_ephemeral(struct reader *r, const config_setting_t *s, struct nsi_decision *options)
{
	const config_setting_t *ephemeral = config_setting_get_member(s, "ephemeral");
	const config_setting_t *size = config_setting_get_member(s, "ephemeral_size");
	const char *text = size ? config_setting_get_string(size) : "256m";

	if (ephemeral && config_setting_type(ephemeral) != CONFIG_TYPE_BOOL)
		return nsi_policy_fault(r, ephemeral, NULL, "\"ephemeral\" must be true or false");
	options->ephemeral = ephemeral && config_setting_get_bool(ephemeral);
	if (size && !options->ephemeral)
		return nsi_policy_fault(r, size, NULL, "\"ephemeral_size\" needs \"ephemeral = true\"");
	if (!text || !nsi_valid_size(text) ||
		!nsi_copy(options->ephemeral_size, sizeof(options->ephemeral_size), text))
		return nsi_policy_fault(
			r, size, NULL, "\"ephemeral_size\" must be a size like \"256m\" or \"2g\"");
	return 0;
}

static int read_size(struct reader *r, const config_setting_t *s, struct nsi_decision *options)
{
	const config_setting_t *size = config_setting_get_member(s, "size");
	const char *text = size ? config_setting_get_string(size) : NULL;

	if (size && (!text || !nsi_parse_size(text, &options->size) || options->size < CHANGES_LEAST))
		return nsi_policy_fault(r, size, "for example \"2G\"",
			"\"size\" must be a size in bytes, K, M, G or T, at least 1M");
	return 0;
}

/* Whose changes they are, and that nobody inside can take them out of it again. */
static int check_size(struct reader *r, const config_setting_t *s, const struct nsi_rule *rule)
{
	const config_setting_t *size = config_setting_get_member(s, "size");

	if (size && !rule->image)
		return nsi_policy_fault(
			r, size, NULL, "\"size\" needs an \"image\": it limits the changes to it");
	if (size && rule->options.ephemeral)
		return nsi_policy_fault(
			r, size, "use \"ephemeral_size\"", "\"size\" is for changes that are kept on disk");
	if (size && rule->options.userns == NSI_USERNS_OFF)
		return nsi_policy_fault(r, size, NULL,
			"\"size\" needs a user namespace: without one root inside can lift it");
	return 0;
}

/* What one setting cannot tell about itself. */
static int check_root(struct reader *r, const config_setting_t *s, const struct nsi_rule *rule)
{
	const struct nsi_decision *d = &rule->options;

	if (!rule->rootfs && !rule->image) {
		const config_setting_t *config = config_setting_get_member(s, "config");

		return config || d->ephemeral || d->size
			       ? nsi_policy_fault(r, config ? config : s, NULL,
					 "\"config\", \"ephemeral\" and \"size\" are for containers")
			       : 0;
	}
	if (d->ephemeral && !rule->image)
		return nsi_policy_fault(r, s, NULL, "\"ephemeral\" needs an \"image\"");
	if (rule->image && !rule->rootfs && !d->ephemeral)
		return nsi_policy_fault(r, s, "or say \"ephemeral = true\"",
			"an \"image\" needs a \"rootfs\", the directory that takes the user's changes");
	if (d->ownership == NSI_OWNERSHIP_SHIFTED && rule->image)
		return nsi_policy_fault(r, s, NULL,
			"an \"image\" belongs to root: it goes with \"ownership = \\\"host\\\"\" alone");
	if (d->ownership == NSI_OWNERSHIP_SHIFTED && d->userns == NSI_USERNS_OFF)
		return nsi_policy_fault(r, s, NULL, "\"ownership = \\\"shifted\\\"\" needs a user namespace");
	return 0;
}

int nsi_policy_root(struct reader *r, const config_setting_t *s, struct nsi_rule *rule)
{
	if (read_path(r, s, "rootfs", &rule->rootfs) < 0 || read_path(r, s, "image", &rule->image) < 0 ||
		read_path(r, s, "config", &rule->config) < 0 || read_ephemeral(r, s, &rule->options) < 0 ||
		read_size(r, s, &rule->options) < 0 || check_root(r, s, rule) < 0)
		return -EINVAL;
	return check_size(r, s, rule);
}

static int add_limit(
	struct reader *r, const config_setting_t *s, const char *path, struct nsi_decision *options)
{
	char *list = options->mount_limits, normal[1024];
	size_t used = strlen(list);

	if (check_path(r, s, path) < 0)
		return -EINVAL;
	if (!nsi_normal_path(path, normal, sizeof(normal)))
		return nsi_policy_fault(r, s, NULL, "\"mounts\" must hold paths without \"..\"");
	if (used + strlen(normal) + 2 > sizeof(options->mount_limits))
		return nsi_policy_fault(r, s, NULL, "\"mounts\" is too long");
	snprintf(list + used, sizeof(options->mount_limits) - used, "%s\n", normal);
	return 0;
}

int nsi_policy_mount_limits(struct reader *r, const config_setting_t *limits, struct nsi_decision *options)
{
	const config_setting_t *s = config_setting_get_member(limits, NSI_MOUNT_LIMITS);

	if (!s)
		return 0;
	if (!config_setting_is_aggregate(s) || config_setting_is_group(s))
		return nsi_policy_fault(r, s, NULL, "\"mounts\" must be a list of paths");
	options->mount_limits[0] = '\0'; /* a rule's in place of the defaults' */
	for (int i = 0; i < config_setting_length(s); i++) {
		const char *path = config_setting_get_string_elem(s, i);

		if (!path)
			return nsi_policy_fault(r, s, NULL, "\"mounts\" must be a list of paths");
		if (add_limit(r, s, path, options) < 0)
			return -EINVAL;
	}
	return 0;
}
