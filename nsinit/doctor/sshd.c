/* nsinit doctor: what sshd does beside PAM and the login shell, by its own account: `sshd -T`. */
#include "../../libcore/base/cleanup.h"
#include "../console/program.h"
#include "doctor.h"

#include <stdio.h>
#include <string.h>

#define CONFIG "/etc/ssh/sshd_config"

enum { DEADLINE_MS = 10000, MAX_ASKED = 64 };

/* Each is about the users of `names`. */
enum check { NO_PAM, CHROOT, SFTP, FORWARDING, USER_RC, USER_ENVIRONMENT, CHECKS };

static const struct {
	enum doctor_severity severity;
	const char *code, *fix, *message;
} checks[CHECKS] = {
	[NO_PAM] = {DOCTOR_ERROR, "sshd-without-pam",
		"set \"UsePAM yes\"; or give them " NSINIT_SHELL " as the login shell",
		"with \"UsePAM no\" nothing brings them into their containers"},
	[CHROOT] = {DOCTOR_ERROR, "sshd-chroot", "set \"ChrootDirectory none\" for them",
		"\"ChrootDirectory\" is looked for inside the container, where sshd is by then"},
	[SFTP] = {DOCTOR_ERROR, "sshd-internal-sftp",
		"set \"ForceCommand " NSINIT_SHELL "\" for them, and have an sftp server in the image",
		"without PAM, internal-sftp serves files of the host"},
	[FORWARDING] = {DOCTOR_ERROR, "sshd-forwarding", "set \"DisableForwarding yes\" for them",
		"without PAM, forwards are opened by sshd on the host"},
	[USER_RC] = {DOCTOR_WARNING, "sshd-user-rc", "set \"PermitUserRC no\" for them",
		"without PAM, sshd starts a shell of the host for ~/.ssh/rc"},
	[USER_ENVIRONMENT] = {DOCTOR_ERROR, "sshd-user-environment", "set \"PermitUserEnvironment no\"",
		"without PAM, ~/.ssh/environment is set for programs of the host"},
};

/* The value of a keyword, cut to the buffer; "" where sshd does not know it. */
static const char *get(const char *config, const char *keyword, char *buf, size_t size)
{
	size_t len = strlen(keyword);

	buf[0] = '\0';
	for (const char *line = config; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncmp(line, keyword, len) == 0 && line[len] == ' ') {
			snprintf(buf, size, "%.*s", (int)strcspn(line + len + 1, "\n"), line + len + 1);
			break;
		}
	return buf;
}

static bool is(const char *config, const char *keyword, const char *value)
{
	char buf[256];

	return strcmp(get(config, keyword, buf, sizeof(buf)), value) == 0;
}

static bool forwards(const char *config)
{
	static const char *const words[] = {"allowtcpforwarding", "allowstreamlocalforwarding",
		"x11forwarding", "allowagentforwarding", "permittunnel"};

	if (is(config, "disableforwarding", "yes"))
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!is(config, words[i], "no") && !is(config, words[i], ""))
			return true;
	return false;
}

/* Served by sshd itself, unless a forced command takes its place. */
static bool serves_sftp(const char *config)
{
	char forced[256], subsystem[256];

	get(config, "forcecommand", forced, sizeof(forced));
	get(config, "subsystem sftp", subsystem, sizeof(subsystem));
	if (strcmp(forced, "none") == 0 || !forced[0])
		return strncmp(subsystem, "internal-sftp", 13) == 0;
	return strncmp(forced, "internal-sftp", 13) == 0;
}

static void judge_user(const char *config, const struct doctor_user *user, struct doctor_names names[CHECKS])
{
	bool pam = is(config, "usepam", "yes");
	const bool found[CHECKS] = {
		[NO_PAM] = user->mapped && !user->shell && !pam,
		[CHROOT] = user->mapped && pam && !is(config, "chrootdirectory", "none") &&
			   !is(config, "chrootdirectory", ""),
		[SFTP] = user->shell && !pam && serves_sftp(config),
		[FORWARDING] = user->shell && !pam && forwards(config),
		[USER_RC] = user->shell && !pam && is(config, "permituserrc", "yes"),
		[USER_ENVIRONMENT] = user->shell && !pam && !is(config, "permituserenvironment", "no"),
	};

	for (int i = 0; i < CHECKS; i++)
		if (found[i])
			doctor_name(&names[i], user->name);
}

/* False: it does not tell; why is found. */
static bool ask(struct doctor *d, const char *user, char **ret_config)
{
	char connection[300];
	char *const argv[] = {(char *)(uintptr_t) "sshd", (char *)(uintptr_t) "-T", (char *)(uintptr_t) "-C",
		connection, NULL};
	struct nsi_error err = {0};
	int status;

	snprintf(connection, sizeof(connection), "user=%s,host=localhost,addr=127.0.0.1", user);
	int r = program_read(argv, DEADLINE_MS, ret_config, &status, &err);
	if (r == -ENOENT)
		return false;
	if (r == 0 && status == 0)
		return true;
	if (r == 0) {
		nsi_failf(&err, EINVAL, "asking", "sshd -T", "correct what it complains of", "%.*s",
			(int)strcspn(*ret_config, "\r\n"), *ret_config);
		free(*ret_config);
	}
	doctor_find_error(d, DOCTOR_WARNING, "sshd-config", "what sshd does was not looked at", &err);
	return false;
}

/* All of them where they are few; else the first of each rule, and of those with the shell. */
static bool is_asked(const struct doctor *d, int i)
{
	if (d->n_users <= MAX_ASKED)
		return true;
	for (int k = 0; k < i; k++)
		if (d->users[k].line == d->users[i].line && d->users[k].shell == d->users[i].shell)
			return false;
	return true;
}

void doctor_sshd(struct doctor *d)
{
	struct doctor_names names[CHECKS] = {0};
	char text[256], *config = NULL;

	d->pam = true;
	if (!d->contains || !ask(d, d->n_users ? d->users[0].name : "root", &config))
		return;
	d->pam = is(config, "usepam", "yes");
	free(config);
	for (int i = 0; i < d->n_users; i++) {
		if (!is_asked(d, i))
			continue;
		if (!ask(d, d->users[i].name, &config))
			return;
		judge_user(config, &d->users[i], names);
		free(config);
	}
	for (int i = 0; i < CHECKS; i++)
		if (names[i].n)
			doctor_find(d, checks[i].severity, checks[i].code, CONFIG, 0, checks[i].fix,
				"for %s: %s", doctor_names_text(&names[i], text), checks[i].message);
	if (d->n_users > MAX_ASKED)
		doctor_find(d, DOCTOR_NOTE, "sshd-sample", CONFIG, 0,
			"ask for a user by name: nsinit doctor USER",
			"sshd was asked for one user of each rule only: there are %d", d->n_users);
}
