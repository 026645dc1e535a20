/*
 * The policy file, and what it decides for a user. The users and groups are this program's (by --wrap of the
 * linker): the host's name services would read files for every group that a rule names.
 */
#include "fuzz.h"

#include "../../libcore/parse/policy.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>

static char alice[] = "alice", bob[] = "bob", root[] = "root", none[] = "", home[] = "/home/x",
	    shell[] = "/bin/sh";

static const struct passwd users[] = {
	{.pw_name = root, .pw_passwd = none, .pw_gecos = none, .pw_dir = home, .pw_shell = shell},
	{alice, none, 1000, 1000, none, home, shell},
	{bob, none, 1001, 1001, none, home, shell},
};

static int find_user(const struct passwd *u, struct passwd *ret, struct passwd **ret_found)
{
	if (u)
		*ret = *u;
	*ret_found = u ? ret : NULL;
	return 0;
}

int __wrap_getpwnam_r(
	const char *name, struct passwd *ret, char *buf, size_t size, struct passwd **ret_found);
/* "broken", a user and a group: what looks them up fails. */
int __wrap_getpwnam_r(const char *name, struct passwd *ret, char *buf, size_t size, struct passwd **ret_found)
{
	(void)buf, (void)size;
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++)
		if (strcmp(users[i].pw_name, name) == 0)
			return find_user(&users[i], ret, ret_found);
	find_user(NULL, ret, ret_found);
	return strcmp(name, "broken") == 0 ? EIO : 0;
}

int __wrap_getpwuid_r(uid_t uid, struct passwd *ret, char *buf, size_t size, struct passwd **ret_found);
int __wrap_getpwuid_r(uid_t uid, struct passwd *ret, char *buf, size_t size, struct passwd **ret_found)
{
	(void)buf, (void)size;
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++)
		if (users[i].pw_uid == uid)
			return find_user(&users[i], ret, ret_found);
	return find_user(NULL, ret, ret_found);
}

int __wrap_getgrnam_r(const char *name, struct group *ret, char *buf, size_t size, struct group **ret_found);
int __wrap_getgrnam_r(const char *name, struct group *ret, char *buf, size_t size, struct group **ret_found)
{
	static char *nobody[] = {NULL}, *members[] = {bob, alice, NULL};
	static const struct group groups[] = {
		{root, none, 0, nobody}, {bob, none, 1001, nobody}, {alice, none, 1000, members}};

	(void)buf;
	*ret_found = NULL;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (strcmp(groups[i].gr_name, name) != 0)
			continue;
		*ret = groups[i];
		*ret_found = ret;
		return size < 65536 && groups[i].gr_gid == 1000 ? ERANGE : 0;
	}
	return strcmp(name, "broken") == 0 ? EIO : 0;
}

int __wrap_getgrouplist(const char *name, gid_t gid, gid_t *list, int *n);
int __wrap_getgrouplist(const char *name, gid_t gid, gid_t *list, int *n)
{
	(void)name;
	list[0] = gid;
	*n = 1;
	return 1;
}

static void decide(const struct nsi_policy *policy, const struct nsi_user *user)
{
	struct nsi_decision decision;
	struct nsi_error err = {0};
	int r = nsi_policy_decide(policy, user, &decision, &err);

	if (r < 0)
		fuzz_check_error(r, &err);
	else if (decision.verdict == NSI_CONTAINER)
		fuzz_check(user->uid != 0 && decision.rootfs[0] == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct nsi_user user = {.name = "alice",
		.uid = 1000,
		.gid = 1000,
		.groups = {1000},
		.n_groups = 1,
		.home = "/home/alice",
		.shell = "/bin/sh"};
	static const struct nsi_user admin = {.name = "root", .groups = {0}, .n_groups = 1, .home = "/root"};
	char *text = fuzz_text(data, size);
	struct nsi_policy *policy;
	struct nsi_error err = {0};
	int r = nsi_policy_parse("nsinit.conf", text, size, &policy, &err);

	if (r < 0) {
		fuzz_check_error(r, &err);
	} else {
		decide(policy, &user);
		decide(policy, &admin);
		nsi_policy_service(policy, "sshd");
		nsi_policy_free(policy);
	}
	free(text);
	return 0;
}
