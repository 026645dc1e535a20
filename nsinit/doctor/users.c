/* nsinit doctor: who is mapped, who has nsinit-shell, and whether they can have it. */
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/str.h"
#include "../../libcore/whole/control.h"
#include "../../libcore/whole/state.h"
#include "doctor.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_UID = 1000, NOBODY = 65534, MAX_BYTES = 1024 * 1024 };

/* ------------------------------------------------------------------ who they are */

static void take_user(struct doctor *d, const char *name)
{
	struct nsi_decision decision;
	struct nsi_user user;
	struct nsi_error err = {0};

	if (d->n_users == DOCTOR_USERS || nsi_user_lookup(name, &user, &err) < 0)
		return;
	struct doctor_user *u = &d->users[d->n_users];
	*u = (struct doctor_user){.uid = user.uid, .shell = strcmp(user.shell, NSINIT_SHELL) == 0};
	snprintf(u->name, sizeof(u->name), "%s", user.name);
	if (d->policy && nsi_policy_decide(d->policy, &user, &decision, &err) < 0) {
		doctor_find_error(d, DOCTOR_ERROR, "user-undecided", "the user is refused", &err);
	} else if (d->policy) {
		u->mapped = decision.verdict == NSI_CONTAINER;
		u->line = decision.line;
	}
	if (!u->mapped && !u->shell)
		return;
	d->n_users++;
	d->n_mapped += u->mapped;
	d->n_shell += u->shell;
}

/* As far as name services list them; LDAP mostly does not. */
static void take_everybody(struct doctor *d)
{
	struct passwd *pw;
	char(*names)[256] = calloc(DOCTOR_USERS, sizeof(*names));
	int n = 0;

	setpwent();
	while (names && n < DOCTOR_USERS && (pw = getpwent()))
		if ((pw->pw_uid >= FIRST_UID && pw->pw_uid != NOBODY) ||
			strcmp(pw->pw_shell, NSINIT_SHELL) == 0)
			snprintf(names[n++], sizeof(*names), "%s", pw->pw_name);
	endpwent();
	for (int i = 0; i < n; i++)
		take_user(d, names[i]);
	free(names);
}

/* Whether a file as subuid(5) gives the user ids; where name services do it, it cannot be told. */
static bool has_range(const char *path, const struct nsi_user *user)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	cleanup_free char *text = NULL;
	char number[16];
	size_t len;

	if (fd < 0 || nsi_read_fd(fd, path, MAX_BYTES, &text, &len, NULL) < 0)
		return false;
	snprintf(number, sizeof(number), "%u", user->uid);
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		const char *name = strsep(&line, ":");

		if (line && (strcmp(name, user->name) == 0 || strcmp(name, number) == 0))
			return true;
	}
	return false;
}

static void judge_own_containers(struct doctor *d, const struct nsi_user *user)
{
	const char *lacks = !has_range("/etc/subuid", user)   ? "/etc/subuid"
			    : !has_range("/etc/subgid", user) ? "/etc/subgid"
							      : NULL;

	if (lacks && user->uid != 0)
		doctor_find(d, DOCTOR_NOTE, "subids-missing", lacks, 0,
			"usermod --add-subuids and --add-subgids, where they are to have more",
			"%s has no range: containers that they start themselves, by nsinit exec without "
			"root, have one id. Those of a login do not need it",
			user->name);
}

static void judge_asked(struct doctor *d)
{
	struct nsi_user user = {0};
	struct nsi_error err = {0};

	if (nsi_user_lookup(d->only, &user, &err) < 0)
		doctor_find_error(d, DOCTOR_ERROR, "user-unknown", "there is no such user", &err);
	else if (d->policy && d->n_mapped == 0)
		doctor_find(d, DOCTOR_NOTE, "user-unmapped", d->only, 0, "nsinit explain says why",
			"the policy does not map the user to a container");
	if (user.name[0])
		judge_own_containers(d, &user);
}

/* ------------------------------------------------------------------ nsinit-shell */

/* Of /proc/net/unix: Num RefCount Protocol Flags Type St Inode Path. */
static bool is_listener(char *line, const char *path)
{
	enum { FLAGS = 3, PATH = 7 };
	static const char accepts[] = "00010000"; /* __SO_ACCEPTCON */
	char *word;

	for (int field = 0; (word = strsep(&line, " ")); field += *word != '\0') {
		if (field == FLAGS && *word && strcmp(word, accepts) != 0)
			return false;
		if (field == PATH && *word)
			return strcmp(word, path) == 0;
	}
	return false;
}

/* A socket that listens under this name; connecting to it would be a request. */
static bool listens(const char *path)
{
	cleanup_free char *text = NULL;
	cleanup_fd int fd = open("/proc/net/unix", O_RDONLY | O_CLOEXEC);
	bool found = false;
	size_t len;

	if (fd < 0 || nsi_read_fd(fd, "/proc/net/unix", MAX_BYTES, &text, &len, NULL) < 0)
		return true; /* it cannot be told */
	for (char *rest = text, *line; !found && (line = strsep(&rest, "\n"));)
		found = is_listener(line, path);
	return found;
}

static bool is_listed(const char *shell)
{
	bool found = false;
	char *line;

	setusershell();
	while (!found && (line = getusershell()))
		found = strcmp(line, shell) == 0;
	endusershell();
	return found;
}

void doctor_shells(struct doctor *d)
{
	struct doctor_names unmapped = {0};
	char text[256];

	for (int i = 0; i < d->n_users; i++)
		if (d->users[i].shell && !d->users[i].mapped)
			doctor_name(&unmapped, d->users[i].name);
	if (unmapped.n && d->policy)
		doctor_find(d, DOCTOR_ERROR, "shell-unmapped", NSINIT_SHELL, 0,
			"give them a rule, or another login shell",
			"%s: the login shell is nsinit-shell, which refuses whom the policy leaves on the "
			"host",
			doctor_names_text(&unmapped, text));
	if (d->n_shell == 0)
		return;
	if (access(NSINIT_SHELL, X_OK) < 0)
		doctor_find(d, DOCTOR_ERROR, "shell-missing", NSINIT_SHELL, 0, "install it",
			"users have it as their login shell, and it is not there");
	if (!is_listed(NSINIT_SHELL))
		doctor_find(d, DOCTOR_WARNING, "shell-not-listed", "/etc/shells", 0,
			"add-shell " NSINIT_SHELL,
			"it does not list " NSINIT_SHELL ": dropbear, ftp servers and chsh refuse its users");
	if (!listens(NSI_RUN_DIR "/doors/" NSI_BROKER))
		doctor_find(d, d->pam ? DOCTOR_WARNING : DOCTOR_ERROR, "nsinitd-not-running",
			NSI_RUN_DIR "/doors/" NSI_BROKER, 0, "systemctl enable --now nsinitd.socket",
			"nsinitd does not listen: users of nsinit-shell get in only where PAM opens their "
			"session");
}

/* ------------------------------------------------------------------ ids */

static void judge_id(struct doctor *d, const char *file, int line, const char *name, unsigned long long first,
	unsigned long long count)
{
	unsigned long long ours = NSI_RANGE_BASE;
	unsigned long long end = ours + (unsigned long long)NSI_RANGES * NSI_RANGE_SIZE;

	if (first < end && first + count > ours)
		doctor_find(d, DOCTOR_ERROR, "ids-overlap", file, line, "give them other ids",
			"%s has ids of those from %llu to %llu, which nsinit gives to containers: they could "
			"reach "
			"into them",
			name, ours, end - 1);
}

static void judge_subordinate(struct doctor *d, const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	cleanup_free char *text = NULL;
	unsigned long long first, count;
	size_t len;
	int number = 0;

	if (fd < 0 || nsi_read_fd(fd, path, MAX_BYTES, &text, &len, NULL) < 0)
		return;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		const char *name = strsep(&line, ":"), *from = line ? strsep(&line, ":") : NULL;

		number++;
		if (from && line && nsi_parse_number(from, 0, UINT32_MAX, &first) &&
			nsi_parse_number(line, 0, UINT32_MAX, &count))
			judge_id(d, path, number, name, first, count);
	}
}

static void judge_ids(struct doctor *d)
{
	const struct passwd *pw;

	judge_subordinate(d, "/etc/subuid");
	judge_subordinate(d, "/etc/subgid");
	setpwent();
	while ((pw = getpwent()))
		judge_id(d, "/etc/passwd", 0, pw->pw_name, pw->pw_uid, 1);
	endpwent();
}

void doctor_users(struct doctor *d)
{
	if (d->only)
		take_user(d, d->only);
	else
		take_everybody(d);
	if (d->only)
		judge_asked(d);
	judge_ids(d);
}
