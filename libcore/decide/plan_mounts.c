/* What container.json mounts: is it allowed, and in what order does it come? */
#include "plan_mounts.h"

#include "../base/compat.h"
#include "../base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int refuse(struct nsi_error *err, const char *what, const char *hint, const char *cause)
{
	nsi_failf(err, EPERM, "planning the mount of", what, hint, "%s", cause);
	return nsi_error_reason(err, "spec");
}

static bool allowed(const char *path, const char *limits)
{
	char prefix[1024];

	for (const char *p = limits; *p; p += strcspn(p, "\n") + 1) {
		snprintf(prefix, sizeof(prefix), "%.*s", (int)strcspn(p, "\n"), p);
		if (nsi_path_below(path, prefix))
			return true;
	}
	return false;
}

static int check_source(const char *path, const struct nsi_login *login, struct nsi_error *err)
{
	char hint[128] = "";

	/* `nsinit exec` is root's own doing. */
	if (!login || allowed(path, login->decision.mount_limits))
		return 0;
	if (login->decision.line)
		snprintf(hint, sizeof(hint),
			"name it in limits: { mounts = [ ... ]; } of the rule in line %d of the policy",
			login->decision.line);
	return refuse(err, path, hint,
		login->decision.mount_limits[0]
			? "it is below none of the directories that \"limits.mounts\" of the policy names"
			: "the policy has no \"limits.mounts\", so nothing of the host may be mounted");
}

static int check_sources(const struct nsi_mount *m, const struct nsi_login *login, struct nsi_error *err)
{
	char path[1024];
	int r = 0;

	if (m->type == NSI_MOUNT_BIND)
		return check_source(m->source, login, err);
	if (m->type != NSI_MOUNT_OVERLAY)
		return 0;
	for (const char *p = m->lower; r == 0 && *p; p += strcspn(p, "\n") + 1) {
		snprintf(path, sizeof(path), "%.*s", (int)strcspn(p, "\n"), p);
		r = check_source(path, login, err);
	}
	if (r == 0 && m->upper[0])
		r = check_source(m->upper, login, err);
	if (r == 0 && m->upper[0])
		r = check_source(m->work, login, err);
	return r;
}

static int add_mount(struct nsi_plan *plan, const struct nsi_mount *m, int tree)
{
	static const enum nsi_op_kind kinds[] = {[NSI_MOUNT_BIND] = NSI_OP_TREE,
		[NSI_MOUNT_OVERLAY] = NSI_OP_TREE,
		[NSI_MOUNT_TMPFS] = NSI_OP_FILESYSTEM,
		[NSI_MOUNT_MQUEUE] = NSI_OP_FILESYSTEM,
		[NSI_MOUNT_PROC] = NSI_OP_AGAIN,
		[NSI_MOUNT_SYSFS] = NSI_OP_AGAIN};
	/* With what is masked and read-only in it: never a fresh one. */
	static const char *const sources[] = {[NSI_MOUNT_TMPFS] = "tmpfs",
		[NSI_MOUNT_MQUEUE] = "mqueue",
		[NSI_MOUNT_PROC] = "proc",
		[NSI_MOUNT_SYSFS] = "sys",
		[NSI_MOUNT_OVERLAY] = NULL};
	struct nsi_op *op = &plan->ops[plan->n_ops];

	if (plan->n_ops == NSI_MAX_OPS || !nsi_copy(op->target, sizeof(op->target), m->target + 1))
		return -E2BIG;
	op->kind = kinds[m->type];
	op->source = sources[m->type];
	op->options = m->type == NSI_MOUNT_TMPFS ? m->options : NULL;
	op->attributes = m->attributes;
	op->tree = tree;
	plan->n_ops++;
	return 0;
}

static int check_mount(const struct nsi_plan *plan, const struct nsi_mount *m, const struct nsi_login *login,
	struct nsi_error *err)
{
	if (m->type == NSI_MOUNT_MQUEUE && !(plan->confine.namespaces & CLONE_NEWIPC))
		return refuse(err, m->target, "add \"NEWIPC\" to \"namespaces\"",
			"without NEWIPC its queues would be the host's");
	return check_sources(m, login, err);
}

int nsi_plan_copy_mounts(struct nsi_plan *plan, const struct nsi_spec *spec, const struct nsi_login *login,
	struct nsi_error *err)
{
	int r = 0;

	if (spec->n_mounts == 0)
		return 0;
	plan->mounts = calloc((size_t)spec->n_mounts, sizeof(*plan->mounts));
	if (!plan->mounts)
		return nsi_fail(err, ENOMEM, "planning", "mounts", NULL);
	memcpy(plan->mounts, spec->mounts, (size_t)spec->n_mounts * sizeof(*plan->mounts));
	plan->n_mounts = spec->n_mounts;
	for (int i = 0; r == 0 && i < plan->n_mounts; i++)
		r = check_mount(plan, &plan->mounts[i], login, err);
	return r;
}

int nsi_plan_add_mounts(struct nsi_plan *plan, const char *home, bool below, struct nsi_error *err)
{
	int r = 0;

	for (int i = 0; r == 0 && i < plan->n_mounts; i++) {
		const struct nsi_mount *m = &plan->mounts[i];

		if ((home[0] && nsi_path_below(m->target, home)) == below)
			r = add_mount(plan, m, i + 1);
	}
	return r < 0 ? nsi_fail(err, -r, "planning", "mounts", NULL) : 0;
}
