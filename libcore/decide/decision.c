/* Which rule of the policy holds for a user: the first that matches. */
#include "shared.h"

#include "../base/cleanup.h"
#include "../base/str.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MAX_GROUP_BYTES = 16 * 1024 * 1024, ROOM_BYTES = 1024 * 1024, ROOM_FDS = 16 };

#define NO_GROUP "nsinit-no-such-group"

static int user_is(const struct nsi_user *user, const char *name, struct nsi_error *err)
{
	(void)err;
	return strcmp(name, "*") == 0 || strcmp(name, user->name) == 0;
}

static bool is_member(const struct group *g, const struct nsi_user *user)
{
	for (int i = 0; i < user->n_groups; i++)
		if (user->groups[i] == g->gr_gid)
			return true;
	for (char **name = g->gr_mem; *name; name++)
		if (strcmp(*name, user->name) == 0)
			return true;
	return false;
}

/* getgrnam_r(3): 0, with `member` said where there is such a group, or an errno value. */
static int ask_for_group(const char *name, const struct nsi_user *user, bool *ret_found, bool *ret_member)
{
	struct group g, *found = NULL;
	int r = ERANGE;

	/* A group's members may be many thousands. */
	for (size_t size = 16384; r == ERANGE && size <= MAX_GROUP_BYTES; size *= 4) {
		cleanup_free char *buf = malloc(size);

		if (!buf)
			return ENOMEM;
		r = getgrnam_r(name, &g, buf, size, &found);
		*ret_found = r == 0 && found;
		*ret_member = *ret_found && is_member(found, user);
	}
	return r;
}

/*
 * The list of the user's groups is short, without a word, where a name service did not answer, and the group
 * may come from a cache, without its members. So that no member is taken for another, a last question, to
 * which no cache knows the answer for long: whether all services answer.
 */
int nsi_user_in_group(const struct nsi_user *user, const char *name, struct nsi_error *err)
{
	bool found = false, member = false, unused;
	int r = ask_for_group(name, user, &found, &member);

	if (r == 0 && found && !member)
		r = ask_for_group(NO_GROUP, user, &unused, &unused);
	if (r == 0)
		return member;
	nsi_fail(err, r, "looking up group", name, "are the name services of the host in order?");
	return nsi_error_reason(err, "group");
}

/* 1: one of them holds, or none is asked for; 0; or a negative errno value. */
static int any(const char **names, const struct nsi_user *user,
	int (*holds)(const struct nsi_user *, const char *, struct nsi_error *), struct nsi_error *err)
{
	int r = names ? 0 : 1;

	for (; names && *names && r == 0; names++)
		r = holds(user, *names, err);
	return r;
}

int nsi_rule_match(const struct nsi_rule *rule, const struct nsi_user *user, enum nsi_rule_fit *ret,
	struct nsi_error *err)
{
	int users = any(rule->users, user, user_is, err);
	int groups = users > 0 ? any(rule->groups, user, nsi_user_in_group, err) : 0;

	if (users < 0 || groups < 0)
		return users < 0 ? users : groups;
	*ret = users == 0 ? NSI_RULE_OTHER_USER : groups == 0 ? NSI_RULE_OTHER_GROUP : NSI_RULE_MATCHES;
	return 0;
}

static bool append(char *out, size_t size, const char *text)
{
	size_t used = strlen(out);

	return nsi_copy(out + used, size - used, text);
}

/* False when the result does not fit. */
static bool expand(const char *format, const struct nsi_user *user, char *out, size_t size)
{
	char piece[32];
	bool ok = true;

	out[0] = '\0';
	for (const char *p = format; *p && ok; p++) {
		if (*p == '%' && p[1] == 'u') {
			ok = append(out, size, user->name);
			p++;
		} else if (*p == '%' && p[1] == 'h') {
			ok = append(out, size, user->home);
			p++;
		} else if (*p == '%' && p[1] == 'U') {
			snprintf(piece, sizeof(piece), "%u", (unsigned)user->uid);
			ok = append(out, size, piece);
			p++;
		} else {
			snprintf(piece, sizeof(piece), "%c", *p);
			ok = append(out, size, piece);
			p += *p == '%' && p[1] == '%';
		}
	}
	return ok;
}

/* One directory for each image and user. */
static void name_ephemeral(const struct nsi_rule *rule, const struct nsi_user *user, struct nsi_decision *d)
{
	size_t head = sizeof(NSI_EPHEMERAL_DIR);

	snprintf(
		d->rootfs, sizeof(d->rootfs), "%s/%u%s", NSI_EPHEMERAL_DIR, (unsigned)user->uid, rule->image);
	for (char *p = d->rootfs + head; *p; p++)
		if (*p == '/')
			*p = ':';
}

static int decide_container(const struct nsi_policy *policy, const struct nsi_rule *rule,
	const struct nsi_user *user, struct nsi_decision *d, struct nsi_error *err)
{
	if (user->uid == 0)
		return nsi_fail_at(err, policy->path, rule->line, 0,
			"put { user = \"root\"; stay = \"host\"; } first",
			"the rule maps %s, who has uid 0, to a container", user->name);
	if (user->name[0] == '.' || strchr(user->name, '/'))
		return nsi_fail_at(
			err, policy->path, rule->line, 0, NULL, "the user name cannot be part of a path");
	d->verdict = NSI_CONTAINER;
	if (rule->image && !rule->rootfs)
		name_ephemeral(rule, user, d);
	if ((rule->rootfs && !expand(rule->rootfs, user, d->rootfs, sizeof(d->rootfs))) ||
		(rule->image && !expand(rule->image, user, d->image, sizeof(d->image))) ||
		(rule->config && !expand(rule->config, user, d->config, sizeof(d->config))) ||
		!expand(rule->options.mount_limits, user, d->mount_limits, sizeof(d->mount_limits)))
		return nsi_fail_at(err, policy->path, rule->line, 0, NULL, "a path of it is too long");
	return 0;
}

/* *ret_asked: whether it took a group's not having the user. */
static int match(const struct nsi_policy *policy, const struct nsi_user *user,
	struct nsi_decision *ret_decision, int *ret_rule, bool *ret_asked, struct nsi_error *err)
{
	struct nsi_decision d = {0};
	enum nsi_rule_fit matches;
	int res;

	for (int i = 0; i < policy->n_rules; i++) {
		const struct nsi_rule *rule = &policy->rules[i];

		/* Not to know is not the same as no: that could be a login on the host. */
		if ((res = nsi_rule_match(rule, user, &matches, err)) < 0)
			return res;
		*ret_asked |= matches == NSI_RULE_OTHER_GROUP;
		if (matches != NSI_RULE_MATCHES)
			continue;
		d = rule->options;
		d.line = rule->line;
		d.verdict = rule->stay ? NSI_STAY : NSI_DENY;
		if (rule->deny && !expand(rule->deny, user, d.text, sizeof(d.text)))
			snprintf(d.text, sizeof(d.text), "No container is set up for you.");
		if ((rule->rootfs || rule->image) && decide_container(policy, rule, user, &d, err) < 0)
			return nsi_error_reason(err, "policy");
		*ret_decision = d;
		*ret_rule = i;
		return 0;
	}
	d.verdict = policy->unmapped_denied ? NSI_DENY : NSI_STAY;
	snprintf(d.text, sizeof(d.text), "No container is set up for %.100s.", user->name);
	*ret_decision = d;
	*ret_rule = -1;
	return 0;
}

int nsi_policy_match(const struct nsi_policy *policy, const struct nsi_user *user,
	struct nsi_decision *ret_decision, int *ret_rule, struct nsi_error *err)
{
	bool asked = false;

	return match(policy, user, ret_decision, ret_rule, &asked, err);
}

/* What the name services need to answer; su(1) runs with whatever limits its caller has set. */
static int check_room(struct nsi_error *err)
{
	cleanup_fd int file = open("/etc/group", O_RDONLY | O_CLOEXEC);
	void *memory = mmap(NULL, ROOM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fds[ROOM_FDS], n = 0, r = memory == MAP_FAILED ? -ENOMEM : 0;
	char c;

	if (memory != MAP_FAILED)
		munmap(memory, ROOM_BYTES);
	if (file < 0 || read(file, &c, 1) < 0)
		r = -errno;
	for (; r == 0 && n < ROOM_FDS; n++) {
		fds[n] = fcntl(file, F_DUPFD_CLOEXEC, 3);
		if (fds[n] < 0) {
			r = -errno;
			break;
		}
	}
	while (n > 0)
		close(fds[--n]);
	if (r == 0)
		return 0;
	nsi_fail(err, -r, "looking up groups by", "/etc/group",
		r == -EMFILE || r == -ENOMEM ? "is the caller's ulimit too low?" : NULL);
	return nsi_error_reason(err, "group");
}

/*
 * A name service that could not even open its file says "no such group", once another one after it in
 * nsswitch.conf says so. Such a word is not enough for the host: it must be said twice, the second time with
 * all that it takes at hand.
 */
int nsi_policy_decide(const struct nsi_policy *policy, const struct nsi_user *user,
	struct nsi_decision *ret_decision, struct nsi_error *err)
{
	struct nsi_decision d = {0}, again = {0};
	bool asked = false;
	int rule;
	int r = match(policy, user, &d, &rule, &asked, err);

	if (r == 0 && d.verdict == NSI_STAY && asked) {
		r = check_room(err);
		if (r == 0)
			r = match(policy, user, &again, &rule, &asked, err);
		if (r == 0 && (again.verdict != NSI_STAY || again.line != d.line)) {
			nsi_failf(err, EAGAIN, "looking up groups of", user->name,
				"are the name services of the host in order?",
				"they say one time no, one time yes");
			r = nsi_error_reason(err, "group");
		}
	}
	if (r == 0 && d.verdict == NSI_CONTAINER &&
		(r = nsi_policy_unshared(policy, rule, user, &d, err)) < 0 && err && !err->reason[0])
		nsi_error_reason(err, "policy");
	if (r == 0)
		*ret_decision = d;
	return r;
}

enum nsi_service_mode nsi_policy_service(const struct nsi_policy *policy, const char *service)
{
	static const struct nsi_service usual[] = {{"sshd", NSI_SERVICE_SPLIT}, {"login", NSI_SERVICE_SHELL},
		{"su", NSI_SERVICE_JOIN}, {"su-l", NSI_SERVICE_JOIN}, {"sudo", NSI_SERVICE_JOIN},
		{"sudo-i", NSI_SERVICE_JOIN}, {"runuser", NSI_SERVICE_JOIN}, {"runuser-l", NSI_SERVICE_JOIN},
		{"cron", NSI_SERVICE_JOIN}, {"crond", NSI_SERVICE_JOIN}};

	for (int i = 0; i < policy->n_services; i++)
		if (strcmp(policy->services[i].name, service) == 0)
			return policy->services[i].mode;
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		if (strcmp(usual[i].name, service) == 0)
			return usual[i].mode;
	return NSI_SERVICE_DENY;
}

static int look_up(const char *name, struct nsi_user *ret_user, struct nsi_error *err)
{
	struct nsi_user user = {.n_groups = sizeof(user.groups) / sizeof(user.groups[0])};
	struct passwd pw, *found = NULL;
	char buf[16384];
	int r = getpwnam_r(name, &pw, buf, sizeof(buf), &found);

	if (r != 0 || !found)
		return nsi_fail(err, r ? r : ENOENT, "looking up user", name, r ? NULL : "no such user");
	if (!nsi_copy(user.name, sizeof(user.name), pw.pw_name) ||
		!nsi_copy(user.home, sizeof(user.home), pw.pw_dir) ||
		!nsi_copy(user.shell, sizeof(user.shell), pw.pw_shell))
		return nsi_failf(
			err, EINVAL, "looking up user", name, NULL, "name, home or shell is too long");
	snprintf(user.gecos, sizeof(user.gecos), "%s", pw.pw_gecos ? pw.pw_gecos : "");
	user.uid = pw.pw_uid;
	user.gid = pw.pw_gid;
	const int size = user.n_groups;
	errno = 0;
	if (getgrouplist(user.name, user.gid, user.groups, &user.n_groups) < 0)
		return user.n_groups > size
			       ? nsi_failf(
					 err, E2BIG, "looking up user", name, NULL, "in more than 256 groups")
			       : nsi_fail(err, errno, "looking up the groups of user", name, NULL);
	*ret_user = user;
	return 0;
}

int nsi_user_lookup(const char *name, struct nsi_user *ret_user, struct nsi_error *err)
{
	int r = look_up(name, ret_user, err);

	return r < 0 ? nsi_error_reason(err, "user") : 0;
}
