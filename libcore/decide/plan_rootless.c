/* What changes in a plan when nobody privileged carries it out. */
#include "../base/compat.h"
#include "../parse/accounts.h"
#include "plan.h"

#include <stdio.h>
#include <string.h>

static bool mapped_inside(const struct nsi_idmap *map, int n, uint32_t id)
{
	for (int i = 0; i < n; i++)
		if (id >= map[i].inside && id - map[i].inside < map[i].count)
			return true;
	return false;
}

static int map_own(const char *sub, const char *name, uint32_t id, uid_t uid, struct nsi_idmap *map)
{
	uint32_t first, count;

	map[0] = (struct nsi_idmap){0, id, 1};
	if (!sub || !nsi_subid_find(sub, name, uid, &first, &count))
		return 1;
	map[1] = (struct nsi_idmap){1, first, count};
	return 2;
}

void nsi_rootless_ids(
	const char *subuid, const char *subgid, const char *name, uid_t uid, gid_t gid, struct nsi_ids *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->n_uids = map_own(subuid, name, uid, uid, ret->uids);
	ret->n_gids = map_own(subgid, name, gid, uid, ret->gids);
	/* One without the other would need newuidmap(1) for half of it: no use. */
	if (ret->n_uids != ret->n_gids)
		ret->n_uids = ret->n_gids = 1;
}

int nsi_plan_rootless(struct nsi_plan *plan, const struct nsi_ids *ids, struct nsi_error *err)
{
	if (plan->network.n_interfaces) {
		nsi_failf(err, EPERM, "planning", "\"network\"",
			"use the \"type\" \"pasta\" or \"loopback\", or run nsinit as root",
			"without root there is no bridge to connect to");
		return nsi_error_reason(err, "spec");
	}
	if (plan->given_ids) {
		nsi_failf(err, EPERM, "planning", "\"uid_mappings\"", "remove it, or run nsinit as root",
			"an ordinary user has the ids of subuid(5)");
		return nsi_error_reason(err, "spec");
	}
	for (int i = 0; i < plan->n_mounts; i++) {
		const struct nsi_mount *m = &plan->mounts[i];

		if (m->type != NSI_MOUNT_BIND && m->type != NSI_MOUNT_OVERLAY)
			continue;
		nsi_failf(err, EPERM, "planning the mount of", m->target, "remove it, or run nsinit as root",
			"mounting directories of the host needs root");
		return nsi_error_reason(err, "spec");
	}
	plan->rootless = true;
	plan->confine.namespaces |= CLONE_NEWUSER;
	plan->confine.ids = *ids;
	plan->confine.no_setgroups = ids->n_gids == 1;
	for (int i = 0; i < plan->n_ops; i++) {
		struct nsi_op *op = &plan->ops[i];

		if (op->kind == NSI_OP_FILESYSTEM && strcmp(op->source, "devpts") == 0 &&
			!mapped_inside(ids->gids, ids->n_gids, NSI_TTY_GID))
			op->options = "newinstance,ptmxmode=0666,mode=0620";
	}
	return 0;
}
