/* The policy's word on capabilities, namespaces, kernel settings and devices: what a container.json may ask
 * for. */
#include "policy_read.h"

#include "../base/compat.h"
#include "../base/str.h"
#include "names.h"

#include <stdio.h>
#include <string.h>

/* Those that a login can do without; the others have settings of their own, or are needed. */
static const char *const optional[] = {"NEWIPC", "NEWUTS", "NEWCGROUP", NULL};

static int unknown(struct reader *r, const config_setting_t *s, const char *kind, const char *text,
	const char *const *known)
{
	const char *near = nsi_nearest(text, known);
	char what[128], hint[96] = "";

	snprintf(what, sizeof(what), "unknown %s \"%.60s\" in \"%s\"", kind, text, config_setting_name(s));
	if (near)
		snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
	return nsi_policy_fault(r, s, hint, what);
}

static int one_capability(
	struct reader *r, const config_setting_t *s, const char *text, struct nsi_ceilings *ceilings)
{
	int number = nsi_capability_number(text);

	if (number < 0)
		return unknown(r, s, "capability", text, nsi_capability_names());
	ceilings->capabilities |= UINT64_C(1) << number;
	return 0;
}

static int one_namespace(
	struct reader *r, const config_setting_t *s, const char *text, struct nsi_ceilings *ceilings)
{
	for (int i = 0; optional[i]; i++)
		if (strcmp(optional[i], text) == 0) {
			ceilings->namespaces |= nsi_namespace_flag(text);
			return 0;
		}
	return unknown(r, s, "namespace", text, optional);
}

static int append(struct reader *r, const config_setting_t *s, const char *text, char *list, size_t size)
{
	size_t used = strlen(list);
	char what[64];

	snprintf(what, sizeof(what), "\"%s\" is too long", config_setting_name(s));
	if (used + strlen(text) + 2 > size)
		return nsi_policy_fault(r, s, NULL, what);
	snprintf(list + used, size - used, "%s\n", text);
	return 0;
}

static int one_sysctl(
	struct reader *r, const config_setting_t *s, const char *text, struct nsi_ceilings *ceilings)
{
	if (!text[0] || strchr(text, '\n') || strlen(text) > 127)
		return nsi_policy_fault(r, s, "for example \"net.ipv4.*\"",
			"\"sysctl\" must hold names of settings, or patterns of names");
	return append(r, s, text, ceilings->sysctls, sizeof(ceilings->sysctls));
}

static int one_device(
	struct reader *r, const config_setting_t *s, const char *text, struct nsi_ceilings *ceilings)
{
	if (strncmp(text, "/dev/", 5) != 0 || strchr(text, '\n') || strstr(text, "/.."))
		return nsi_policy_fault(r, s, "for example \"/dev/fuse\"",
			"\"devices\" must hold paths below /dev, or patterns of paths");
	return append(r, s, text, ceilings->devices, sizeof(ceilings->devices));
}

typedef int one(struct reader *r, const config_setting_t *s, const char *text, struct nsi_ceilings *ceilings);

static int read_list(struct reader *r, const config_setting_t *s, one *read, struct nsi_ceilings *ceilings)
{
	char what[64];

	snprintf(what, sizeof(what), "\"%s\" must be a list of strings", config_setting_name(s));
	if (!config_setting_is_aggregate(s) || config_setting_is_group(s))
		return nsi_policy_fault(r, s, NULL, what);
	for (int i = 0; i < config_setting_length(s); i++) {
		const char *text = config_setting_get_string_elem(s, i);

		if (!text)
			return nsi_policy_fault(r, s, NULL, what);
		if (read(r, s, text, ceilings) < 0)
			return -EINVAL;
	}
	return 0;
}

/* A rule's list stands in place of the defaults'. */
int nsi_policy_ceilings(struct reader *r, const config_setting_t *limits, struct nsi_ceilings *ceilings)
{
	const config_setting_t *capabilities = config_setting_get_member(limits, "capabilities");
	const config_setting_t *namespaces = config_setting_get_member(limits, "host_namespaces");
	const config_setting_t *sysctl = config_setting_get_member(limits, "sysctl");
	const config_setting_t *devices = config_setting_get_member(limits, "devices");

	if (capabilities) {
		ceilings->capabilities_given = true;
		ceilings->capabilities = 0;
		if (read_list(r, capabilities, one_capability, ceilings) < 0)
			return -EINVAL;
	}
	if (namespaces) {
		ceilings->namespaces_given = true;
		ceilings->namespaces = 0;
		if (read_list(r, namespaces, one_namespace, ceilings) < 0)
			return -EINVAL;
	}
	if (devices) {
		ceilings->devices[0] = '\0';
		if (read_list(r, devices, one_device, ceilings) < 0)
			return -EINVAL;
	}
	if (!sysctl)
		return 0;
	ceilings->sysctls_given = true;
	ceilings->sysctls[0] = '\0';
	return read_list(r, sysctl, one_sysctl, ceilings);
}
