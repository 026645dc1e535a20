#include "confine.h"

#include "../base/compat.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { OVERFLOW_GID = 65534 };

int nsi_confine_shared(const struct nsi_confinement *c, struct nsi_error *err)
{
	if (nsi_new_session_keyring() < 0 && errno != ENOSYS)
		return nsi_fail(err, errno, "joining", "a new session keyring", NULL);
	for (int cap = 0; cap < 64; cap++) {
		if (c->capabilities & (UINT64_C(1) << cap))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
			if (errno == EINVAL)
				break; /* past the kernel's last capability */
			return nsi_fail(err, errno, "dropping from the bounding set", "capability", NULL);
		}
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return nsi_fail(err, errno, "clearing", "the ambient capabilities", NULL);
	return 0;
}

int nsi_confine(const struct nsi_confinement *c, struct nsi_error *err)
{
	int r = nsi_confine_shared(c, err);
	uint64_t keep = c->uid == 0 ? c->capabilities : 0;
	uint64_t bounding = 0;

	if (r < 0)
		return r;
	for (int cap = 0; cap < 64; cap++) {
		int held = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (held < 0)
			break;
		bounding |= (uint64_t)held << cap;
	}
	r = c->keep_groups ? nsi_filter_groups(c, err) : 0;
	if (r < 0)
		return r;
	if (!c->keep_groups && !c->no_setgroups && nsi_setgroups(0, NULL) < 0)
		return nsi_fail(err, errno, "dropping", "the supplementary groups", NULL);
	if (nsi_setresgid(c->gid) < 0 || nsi_setresuid(c->uid) < 0)
		return nsi_fail(err, errno, "changing to", "the container's user",
			errno == EINVAL ? "its uid or gid is not mapped in the user namespace" : NULL);
	keep &= bounding;
	if (nsi_capset(keep, keep, 0) < 0)
		return nsi_fail(err, errno, "setting", "capabilities", NULL);
	if (chdir(c->working_dir) < 0)
		return nsi_fail(err, errno, "changing to working_dir", c->working_dir, NULL);
	return 0;
}

int nsi_hide_process(struct nsi_error *err)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return nsi_fail(err, errno, "hiding", "this process", NULL);
	return 0;
}

int nsi_filter_groups(const struct nsi_confinement *c, struct nsi_error *err)
{
	gid_t groups[1024];
	size_t kept = 0;

	if (!(c->namespaces & CLONE_NEWUSER))
		return 0;
	int n = getgroups(sizeof(groups) / sizeof(groups[0]), groups);
	if (n < 0)
		return nsi_fail(err, errno, "reading", "the supplementary groups", NULL);
	for (int i = 0; i < n; i++)
		/* Seen from inside, one that is not mapped shows as the overflow gid, user_namespaces(7). */
		if (groups[i] != OVERFLOW_GID && nsi_idmap_same(c->ids.gids, c->ids.n_gids, groups[i]))
			groups[kept++] = groups[i];
	if (nsi_setgroups(kept, groups) < 0)
		return nsi_fail(err, errno, "setting", "the supplementary groups", NULL);
	return 0;
}

int nsi_setuid_suspend(void)
{
	uint64_t effective, permitted, inheritable;

	if (nsi_capget(&effective, &permitted, &inheritable) < 0)
		return -errno;
	effective &= ~(UINT64_C(1) << CAP_SETUID);
	return nsi_capset(effective, permitted, inheritable) < 0 ? -errno : 0;
}

int nsi_setuid_resume(struct nsi_error *err)
{
	uint64_t effective, permitted, inheritable;

	if (nsi_capget(&effective, &permitted, &inheritable) < 0 ||
		nsi_capset(effective | UINT64_C(1) << CAP_SETUID, permitted, inheritable) < 0)
		return nsi_fail(err, errno, "regaining", "CAP_SETUID", NULL);
	return 0;
}
