#include "confine.h"

#include "../base/compat.h"
#include "../base/io.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { OVERFLOW_GID = 65534 };

/* Each needs CAP_SYS_ADMIN in the user namespace, which the caller still has, seccomp(2). */
static int load_filters(const struct nsi_filter *filter, struct nsi_error *err)
{
	const struct sock_filter *code = filter->code;

	for (int i = 0; i < NSI_FILTERS; i++) {
		if (filter->n[i] && nsi_seccomp_load(code, filter->n[i]) < 0)
			return nsi_fail(err, errno, "loading", "the system call filter",
				errno == EINVAL ? "is the kernel's CONFIG_SECCOMP_FILTER on?" : NULL);
		code += filter->n[i];
	}
	return 0;
}

int nsi_confine_shared(const struct nsi_confinement *c, struct nsi_error *err)
{
	if (nsi_new_session_keyring() < 0 && errno != ENOSYS)
		return nsi_fail(err, errno, "joining", "a new session keyring", NULL);
	for (int cap = 0; cap < 64; cap++) {
		if (c->capabilities & (UINT64_C(1) << cap))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
			if (errno == EINVAL && cap > CAP_CHECKPOINT_RESTORE) /* of Linux 5.9 */
				break; /* past the kernel's last capability */
			return nsi_fail(err, errno, "dropping from the bounding set", "capability", NULL);
		}
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return nsi_fail(err, errno, "clearing", "the ambient capabilities", NULL);
	if (c->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return nsi_fail(err, errno, "setting", "no_new_privs", NULL);
	return load_filters(&c->filter, err);
}

static int set_groups(const struct nsi_confinement *c, struct nsi_error *err)
{
	if (c->keep_groups)
		return nsi_filter_groups(c, err);
	if (c->no_setgroups)
		return 0;
	if (nsi_setgroups((size_t)c->n_groups, c->groups) < 0)
		return nsi_fail(err, errno, "setting", "the supplementary groups",
			errno == EINVAL ? "one is not mapped in the user namespace" : NULL);
	return 0;
}

/* Inheritable too, as ambient ones must be, capabilities(7). */
static int raise_ambient(uint64_t ambient, struct nsi_error *err)
{
	for (int cap = 0; cap < 64; cap++)
		if (ambient & (UINT64_C(1) << cap) &&
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return nsi_fail(err, errno, "raising", "an ambient capability", NULL);
	return 0;
}

int nsi_confine(const struct nsi_confinement *c, struct nsi_error *err)
{
	uint64_t effective, permitted, inheritable, keep = c->uid == 0 ? c->capabilities : c->ambient;
	uint64_t ambient = c->uid == 0 ? 0 : c->ambient;
	int r = nsi_confine_shared(c, err);

	if (r == 0)
		r = set_groups(c, err);
	if (r < 0)
		return r;
	/* What we lack ourselves, we cannot hand on. */
	if (nsi_capget(&effective, &permitted, &inheritable) < 0)
		return nsi_fail(err, errno, "reading", "capabilities", NULL);
	keep &= permitted;
	ambient &= permitted;
	if (ambient && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return nsi_fail(err, errno, "keeping", "capabilities", NULL);
	if (nsi_setresgid(c->gid) < 0 || nsi_setresuid(c->uid) < 0)
		return nsi_fail(err, errno, "changing to", "the container's user",
			errno == EINVAL ? "its uid or gid is not mapped in the user namespace" : NULL);
	if (nsi_capset(keep, keep, ambient) < 0)
		return nsi_fail(err, errno, "setting", "capabilities", NULL);
	r = raise_ambient(ambient, err);
	if (r == 0 && (r = nsi_chdir(c->working_dir)) < 0)
		r = nsi_fail(err, -r, "changing to working_dir", c->working_dir,
			r == -ELOOP ? "a link of /proc does not lead to a directory of the container" : NULL);
	return r;
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
