/* The part of the plan that concerns processes: see parse/process.h. */
#include "../base/compat.h"
#include "../base/str.h"
#include "../parse/accounts.h"
#include "plan.h"

#include <stdio.h>
#include <string.h>

static int add_sysctls(struct nsi_plan *plan, const struct nsi_process_spec *p)
{
	char path[sizeof(p->sysctls[0].name)], target[256];
	int r = 0;

	memcpy(plan->sysctls, p->sysctls, sizeof(plan->sysctls));
	for (int i = 0; r == 0 && i < p->n_sysctls; i++) {
		nsi_sysctl_path(p->sysctls[i].name, path, sizeof(path));
		snprintf(target, sizeof(target), "proc/sys/%s", path);
		r = nsi_plan_add(plan, NSI_OP_SYSCTL, plan->sysctls[i].value, target, NULL, 0);
	}
	return r;
}

static int add_zone(struct nsi_plan *plan, const char *name)
{
	if (!name[0])
		return 0;
	snprintf(plan->zone, sizeof(plan->zone), "/usr/share/zoneinfo/%s", name);
	return nsi_plan_add(plan, NSI_OP_ZONE, plan->zone, "etc/localtime", NULL,
		MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

static int add_paths(struct nsi_plan *plan, enum nsi_op_kind kind, const struct nsi_path_list *given,
	const char *const *defaults)
{
	int r = 0;

	for (int i = 0; r == 0 && given->given && i < given->n; i++)
		r = nsi_plan_add(plan, kind, NULL, given->list[i] + strspn(given->list[i], "/"), NULL,
			MOUNT_ATTR_RDONLY);
	for (size_t i = 0; r == 0 && !given->given && defaults[i]; i++)
		r = nsi_plan_add(plan, kind, NULL, defaults[i], NULL, MOUNT_ATTR_RDONLY);
	return r;
}

/* What root inside could otherwise use against the host, or read about it. */
int nsi_plan_hide(struct nsi_plan *plan, const struct nsi_spec *spec, struct nsi_error *err)
{
	const struct nsi_process_spec *p = &spec->process;
	static const char *const ours[] = {".nspid", "container.json", NULL};
	static const char *const readonly[] = {
		"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger", NULL};
	static const char *const masked[] = {"proc/acpi", "proc/asound", "proc/kcore", "proc/keys",
		"proc/latency_stats", "proc/timer_list", "proc/timer_stats", "proc/sched_debug", "proc/scsi",
		"sys/firmware", NULL};
	static const struct nsi_path_list none;
	int r = add_paths(plan, NSI_OP_READONLY, &none, ours);

	if (r == 0)
		r = add_paths(plan, NSI_OP_READONLY, &p->readonly, readonly);
	if (r == 0)
		r = add_paths(plan, NSI_OP_MASK, &p->masked, masked);
	return r < 0 ? nsi_fail(err, -r, "planning", "what is hidden", NULL) : 0;
}

int nsi_plan_process(struct nsi_plan *plan, const struct nsi_spec *spec, struct nsi_error *err)
{
	const struct nsi_process_spec *p = &spec->process;

	plan->confine.limits = p->limits;
	plan->confine.no_new_privs = p->no_new_privs;
	plan->confine.seccomp = !p->seccomp_off;
	plan->confine.ambient = p->ambient;
	nsi_copy_array(plan->domainname, p->domainname);
	int r = add_sysctls(plan, p);
	if (r == 0)
		r = add_zone(plan, p->timezone);
	return r < 0 ? nsi_fail(err, -r, "planning", "the kernel's settings", NULL) : 0;
}

/* ------------------------------------------------------------------ the user and the groups */

static int add_named_groups(
	const char *list, const struct nsi_image *image, struct nsi_confinement *c, struct nsi_error *err)
{
	char text[64], *save = NULL;
	int r = 0;

	if (!nsi_copy(text, sizeof(text), list))
		return nsi_failf(err, EINVAL, "resolving groups", list, NULL, "longer than 63 characters");
	for (char *g = strtok_r(text, ",", &save); r == 0 && g; g = strtok_r(NULL, ",", &save)) {
		if (c->n_groups == NSI_MAX_GROUPS)
			return nsi_failf(err, E2BIG, "resolving groups", list, NULL, "more than %d groups",
				NSI_MAX_GROUPS);
		r = nsi_resolve_group(g, image, &c->groups[c->n_groups++], err);
	}
	return r;
}

static int add_image_groups(
	const char *user, const struct nsi_image *image, struct nsi_confinement *c, struct nsi_error *err)
{
	struct nsi_account found;
	unsigned long long number;

	if (nsi_parse_number(user, 0, 4294967294ULL, &number)) {
		if (!image->passwd || !nsi_passwd_find(image->passwd, NULL, (uid_t)number, &found))
			return 0;
		user = found.name;
	}
	c->n_groups = image->group ? nsi_groups_of(image->group, user, c->groups, NSI_MAX_GROUPS) : 0;
	if (c->n_groups > NSI_MAX_GROUPS)
		return nsi_failf(err, E2BIG, "resolving the groups of", user, "name those that are needed",
			"the container's /etc/group lists more than %d", NSI_MAX_GROUPS);
	return 0;
}

int nsi_resolve_identity(
	const char *text, const struct nsi_image *image, struct nsi_confinement *c, struct nsi_error *err)
{
	const char *group = strchr(text, ':'), *more = group ? strchr(group, ',') : NULL;
	int r = nsi_resolve_user(text, image, &c->uid, &c->gid, err);

	c->n_groups = 0;
	if (r == 0 && more)
		r = add_named_groups(more + 1, image, c, err);
	else if (r == 0 && !group)
		r = add_image_groups(text, image, c, err);
	return r;
}
