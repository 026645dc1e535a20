/* nsinit doctor: the policy, all that `nsinit check` says of it, and the directories that users are mapped
 * to. */
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/io.h"
#include "../../libcore/process/idmap.h"
#include "../../libcore/whole/rootfs.h"
#include "../check/check.h"
#include "doctor.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DIRECTORIES = 256 };

/* ------------------------------------------------------------------ the policy */

static enum doctor_severity severity_of(const char *code)
{
	static const char *const errors[] = {"no-container", "no-way-for-root", "host-root",
		"seccomp-profile", "refused-to-logins", "no-id-mapping"};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strcmp(code, errors[i]) == 0)
			return DOCTOR_ERROR;
	return DOCTOR_WARNING;
}

static void take_warnings(struct doctor *d, const struct check_warnings *w, const char *object)
{
	for (int i = 0; i < w->n; i++)
		doctor_find(d, severity_of(w->list[i].code), w->list[i].code, object, w->list[i].line,
			w->list[i].remedy, "%s", w->list[i].message);
}

static void take_limits(struct doctor *d, const struct check_rule *r)
{
	uint32_t set = r->rule->options.limits.set | r->rule->options.session_limits.set;

	if (r->loaded)
		set |= r->container.plan->resources.set;
	if (r->rule->options.best_effort)
		d->limits_best_effort |= set;
	else
		d->limits |= set;
}

/* Missing, not to be trusted, or not to be understood: three different remedies. */
static void judge_unusable(struct doctor *d, const struct nsi_error *err)
{
	cleanup_fd int fd = -1;
	struct nsi_error why = {0};
	int r = nsi_open_trusted(NSINIT_POLICY, O_RDONLY, &fd, NULL, &why);

	d->contains = true; /* for all that is known */
	if (r == -ENOENT)
		doctor_find(d, DOCTOR_ERROR, "policy-missing", NSINIT_POLICY, 0,
			"write one: nsinit.conf(5), and the example in /usr/share/doc/nsinit",
			"there is no policy: where PAM asks pam_nsinit, everybody is refused");
	else if (r < 0)
		doctor_find_error(d, DOCTOR_ERROR, "policy-mode",
			"nobody trusts the policy, everybody is refused", &why);
	else
		doctor_find_error(d, DOCTOR_ERROR, "policy-invalid", "everybody is refused", err);
}

void doctor_policy(struct doctor *d)
{
	cleanup_free struct check_warnings *w = calloc(1, sizeof(*w));
	struct check_rules rules;
	struct nsi_error err = {0};

	if (!w)
		return;
	if (check_load_policy(NSINIT_POLICY, &rules, w, &err) < 0) {
		check_rules_free(&rules);
		return judge_unusable(d, &err);
	}
	take_warnings(d, w, NSINIT_POLICY);
	for (int i = 0; i < rules.policy->n_rules; i++) {
		d->contains |= rules.list[i].rule->rootfs || rules.list[i].rule->image;
		take_limits(d, &rules.list[i]);
	}
	if (!d->contains)
		doctor_find(d, DOCTOR_NOTE, "nothing-mapped", NSINIT_POLICY, 0, "add a rule with \"rootfs\"",
			"no rule leads into a container: logins are not looked at");
	d->policy = rules.policy;
	rules.policy = NULL;
	check_rules_free(&rules);
}

/* ------------------------------------------------------------------ directories */

static bool is_pattern(const char *text)
{
	return text && strchr(text, '%');
}

/* check_load_policy() has looked at those of rules that name one directory. */
static bool is_looked_at(const struct doctor *d, int line)
{
	for (int i = 0; i < d->policy->n_rules; i++) {
		const struct nsi_rule *r = &d->policy->rules[i];

		if (r->line == line)
			return !is_pattern(r->image ? r->image : r->rootfs) && !is_pattern(r->config);
	}
	return true;
}

/* The directory that takes a user's changes to an image is made by the first login: where it is to lie. */
static int check_place(const struct nsi_decision *decision, struct nsi_error *err)
{
	struct nsi_decision alone = *decision;
	cleanup_fd int fd = -1;
	char above[sizeof(alone.rootfs)];

	alone.image[0] = '\0';
	if (access(decision->rootfs, F_OK) == 0)
		return nsi_rootfs_open(&alone, &fd, err);
	snprintf(above, sizeof(above), "%s", decision->rootfs);
	char *slash = strrchr(above, '/');
	if (slash && slash != above)
		*slash = '\0';
	return nsi_open_trusted(above, O_PATH | O_DIRECTORY, &fd, NULL, err);
}

static int open_directory(const struct nsi_decision *decision, int *ret_fd, struct nsi_error *err)
{
	int r = 0;

	if (!decision->image[0])
		return nsi_rootfs_open(decision, ret_fd, err);
	if (!decision->ephemeral)
		r = check_place(decision, err);
	return r < 0 ? r : nsi_open_trusted(decision->image, O_PATH | O_DIRECTORY, ret_fd, NULL, err);
}

/* As a login would read it. */
static void judge_container(struct doctor *d, int fd, const char *path, const struct nsi_login *login)
{
	cleanup_free struct check_warnings *w = calloc(1, sizeof(*w));
	struct nsi_login *copy = malloc(sizeof(*copy));
	struct check_container c = {0};
	struct nsi_error err = {0};

	if (!copy || !w) {
		free(copy);
		return;
	}
	*copy = *login;
	if (check_load_login(fd, path, login->decision.config, copy, &c, &err) < 0) {
		doctor_find_error(d, DOCTOR_ERROR, "no-container", "logins are refused", &err);
	} else {
		if (login->decision.best_effort)
			d->limits_best_effort |= c.plan->resources.set;
		else
			d->limits |= c.plan->resources.set;
		if (d->only)
			check_judge_container(&c, w);
	}
	check_container_free(&c);
	take_warnings(d, w, path);
}

static void judge_file(struct doctor *d, int fd, const char *path)
{
	struct stat dir, file;

	if (fstat(fd, &dir) == 0 && fstatat(fd, "container.json", &file, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISREG(file.st_mode) && (file.st_uid != dir.st_uid || (file.st_mode & 022)))
		doctor_find(d, DOCTOR_WARNING, "container-json-owner", path, 0,
			"chown container.json to the directory's owner; chmod go-w",
			"its container.json belongs to uid %u with mode %04o: others than who owns the "
			"directory "
			"decide what the container may do",
			(unsigned)file.st_uid, (unsigned)(file.st_mode & 07777));
}

static void judge_directory(struct doctor *d, const struct nsi_login *login)
{
	const struct nsi_decision *decision = &login->decision;
	const char *path = decision->image[0] ? decision->image : decision->rootfs;
	bool looked_at = is_looked_at(d, decision->line);
	cleanup_fd int fd = -1;
	struct nsi_error err = {0};

	if (open_directory(decision, &fd, &err) < 0) {
		if (!looked_at || decision->image[0])
			doctor_find_error(d, DOCTOR_ERROR, "rootfs-refused", "logins are refused", &err);
		return;
	}
	if (decision->userns == NSI_USERNS_AUTO && decision->ownership == NSI_OWNERSHIP_HOST &&
		nsi_try_idmap(fd, path, &err) < 0)
		doctor_find_error(d, DOCTOR_ERROR, "no-id-mapping", "logins are refused", &err);
	judge_file(d, fd, path);
	if (!looked_at)
		judge_container(d, fd, path, login);
}

void doctor_directories(struct doctor *d)
{
	cleanup_free struct nsi_login *login = calloc(1, sizeof(*login));
	char(*seen)[1024] = calloc(MAX_DIRECTORIES, sizeof(*seen));
	int n = 0;

	for (int i = 0; d->policy && login && seen && i < d->n_users; i++) {
		bool known = false;

		if (!d->users[i].mapped || nsi_user_lookup(d->users[i].name, &login->user, NULL) < 0 ||
			nsi_policy_decide(d->policy, &login->user, &login->decision, NULL) < 0)
			continue;
		for (int k = 0; k < n && !known; k++)
			known = strcmp(seen[k], login->decision.rootfs) == 0;
		if (known)
			continue;
		if (n == MAX_DIRECTORIES) {
			doctor_find(d, DOCTOR_NOTE, "directory-sample", NULL, 0,
				"ask for a user by name: nsinit doctor USER",
				"the first %d directories were looked at", n);
			break;
		}
		memcpy(seen[n++], login->decision.rootfs, sizeof(*seen));
		judge_directory(d, login);
	}
	free(seen);
}
