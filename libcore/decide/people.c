/* Users and their groups, from the host's name services; they may be out of order. */
#include "people.h"

#include "../base/cleanup.h"
#include "../base/io.h"
#include "../base/str.h"

#include <fcntl.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* A group's members may be many thousands. */
enum { FIRST_GROUP_BYTES = 16384, MAX_GROUP_BYTES = 16 * 1024 * 1024 };
enum { ROOM_BYTES = 1024 * 1024, ROOM_FDS = 16, MAX_SWITCH = 64 * 1024 };

#define NO_GROUP "nsinit-no-such-group"
#define SWITCH "/etc/nsswitch.conf"

/* For people, to be shown; nothing depends on it. */
static void name_group(struct nsi_user *user)
{
	struct group g, *found = NULL;
	int r = ERANGE;

	for (size_t size = FIRST_GROUP_BYTES; r == ERANGE && size <= MAX_GROUP_BYTES; size *= 4) {
		cleanup_free char *buf = malloc(size);

		r = buf ? getgrgid_r(user->gid, &g, buf, size, &found) : ENOMEM;
		if (r == 0 && found)
			nsi_copy(user->group, sizeof(user->group), found->gr_name);
	}
}

static int look_up(const char *name, struct nsi_user *ret_user, struct nsi_error *err)
{
	struct nsi_user user = {.n_groups = -1};
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
	name_group(&user);
	*ret_user = user;
	return 0;
}

static int look_up_groups(struct nsi_user *user, struct nsi_error *err)
{
	const int size = sizeof(user->groups) / sizeof(user->groups[0]);
	int n = size;

	errno = 0;
	if (getgrouplist(user->name, user->gid, user->groups, &n) < 0)
		return n > size ? nsi_failf(err, E2BIG, "looking up user", user->name, NULL,
					  "in more than 256 groups")
				: nsi_fail(err, errno, "looking up the groups of user", user->name, NULL);
	user->n_groups = n;
	return 0;
}

int nsi_user_lookup_alone(const char *name, struct nsi_user *ret_user, struct nsi_error *err)
{
	int r = look_up(name, ret_user, err);

	return r < 0 ? nsi_error_reason(err, "user") : 0;
}

int nsi_user_lookup(const char *name, struct nsi_user *ret_user, struct nsi_error *err)
{
	int r = nsi_user_lookup_alone(name, ret_user, err);

	if (r == 0)
		r = look_up_groups(ret_user, err);
	return r < 0 ? nsi_error_reason(err, "user") : 0;
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

	for (size_t size = FIRST_GROUP_BYTES; r == ERANGE && size <= MAX_GROUP_BYTES; size *= 4) {
		cleanup_free char *buf = malloc(size);

		if (!buf)
			return ENOMEM;
		r = getgrnam_r(name, &g, buf, size, &found);
		*ret_found = r == 0 && found;
		*ret_member = *ret_found && is_member(found, user);
	}
	return r;
}

static int fail_group(int r, const char *name, struct nsi_error *err)
{
	nsi_failf(err, r, "looking up group", name, "are the name services of the host in order?",
		"one of them does not answer (%s)", strerrordesc_np(r));
	return nsi_error_reason(err, "group");
}

/*
 * The list of the user's groups is short, without a word, where a name service did not answer, and the group
 * may come from a cache, without its members. So that no member is taken for another, a last question, to
 * which no cache knows the answer for long: whether all services answer.
 */
int nsi_user_in_group(const struct nsi_user *user, const char *name, struct nsi_error *err)
{
	bool found = false, member = false, unused;

	if (user->n_groups < 0) {
		nsi_failf(err, EINVAL, "looking up the groups of user", user->name, NULL,
			"they were not asked for");
		return nsi_error_reason(err, "group");
	}
	int r = ask_for_group(name, user, &found, &member);
	if (r == 0 && found && !member)
		r = ask_for_group(NO_GROUP, user, &unused, &unused);
	if (r == 0)
		return member;
	return fail_group(r, name, err);
}

int nsi_group_known(const char *name, struct nsi_error *err)
{
	static const struct nsi_user nobody;
	bool found = false, unused;
	int r = ask_for_group(name, &nobody, &found, &unused);

	if (r == 0 && found)
		return 0;
	if (r == 0)
		nsi_failf(err, ENOENT, "looking up group", name, "make it, or take it out of the policy",
			"no name service has it; one that is offline says so of what it has not kept");
	else
		fail_group(r, name, err);
	return nsi_error_reason(err, "group");
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

/* What stands behind the last "group:"; NULL: there is none. Cuts the text up. */
static const char *services_of_groups(char *text)
{
	const char *services = NULL;

	for (char *line; (line = strsep(&text, "\n"));) {
		line[strcspn(line, "#")] = '\0';
		line += strspn(line, " \t");
		size_t len = strcspn(line, ": \t");
		const char *colon = line + len + strspn(line + len, " \t");
		if (len == strlen("group") && strncmp(line, "group", len) == 0 && *colon == ':')
			services = colon + 1;
	}
	return services;
}

/* Whether it is of this host alone what they know: "files [NOTFOUND=return] systemd". */
static bool are_local(const char *services)
{
	static const char *const local[] = {
		"files", "compat", "db", "systemd", "mymachines", "extrausers", "altfiles"};
	bool all = true;

	for (const char *p = services + strspn(services, " \t"); *p && all; p += strspn(p, " \t")) {
		size_t len = *p == '[' ? strcspn(p, "]") + 1 : strcspn(p, " \t[");
		bool known = *p == '[';

		for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
			known |= strlen(local[i]) == len && strncmp(p, local[i], len) == 0;
		all = known;
		p += strnlen(p, len);
	}
	return all;
}

/*
 * Ask nscd(8) for no group any more: it does not tell a name service that is down from one that says no. The
 * C library leaves it out where a process has chosen services itself; these are the same ones.
 */
static int leave_out_nscd(bool *ret_remote, struct nsi_error *err)
{
	cleanup_fd int fd = open(SWITCH, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	cleanup_free char *text = NULL;
	size_t len;

	*ret_remote = false;
	if (fd < 0 && errno == ENOENT) /* plain files, by default */
		return 0;
	int r = fd < 0 ? nsi_fail(err, errno, "opening", SWITCH, NULL)
		       : nsi_read_fd(fd, SWITCH, MAX_SWITCH, &text, &len, err);
	const char *services = r == 0 ? services_of_groups(text) : NULL;
	*ret_remote = services && !are_local(services);
	if (services && __nss_configure_lookup("group", services) < 0)
		r = nsi_fail(err, EINVAL, "choosing services for groups by", SWITCH, NULL);
	return r < 0 ? nsi_error_reason(err, "group") : 0;
}

int nsi_user_afresh(
	const struct nsi_user *user, struct nsi_user *ret_user, bool *ret_remote, struct nsi_error *err)
{
	struct nsi_user afresh = {0};
	int r = check_room(err);

	if (r == 0)
		r = leave_out_nscd(ret_remote, err);
	if (r == 0)
		r = nsi_user_lookup(user->name, &afresh, err);
	if (r == 0 && afresh.uid != user->uid) {
		nsi_failf(err, EAGAIN, "looking up user", user->name, NULL, "the uid has changed meanwhile");
		r = nsi_error_reason(err, "user");
	}
	if (r == 0)
		*ret_user = afresh;
	return r;
}
