/* nsinit doctor: what runs programs of mapped users on the host, without asking pam_nsinit. */
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/io.h"
#include "doctor.h"
#include "pam_stack.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_BYTES = 1024 * 1024 };

/* ------------------------------------------------------------------ what starts by itself */

static bool has_session_line(const char *service)
{
	struct pam_stack stack;
	bool found;

	if (stack_read(service, "session", &stack, NULL) < 0)
		return false;
	found = stack_find(&stack, "pam_nsinit.so", 0) >= 0;
	stack_free(&stack);
	return found;
}

static const struct doctor_user *mapped_user(const struct doctor *d, const char *name, const struct stat *st)
{
	for (int i = 0; i < d->n_users; i++)
		if (d->users[i].mapped &&
			(name ? strcmp(d->users[i].name, name) == 0 : d->users[i].uid == st->st_uid))
			return &d->users[i];
	return NULL;
}

/* Mapped users of whom there is a file, by its name or else by its owner. */
static struct doctor_names owners_in(const struct doctor *d, const char *path, bool by_name)
{
	struct doctor_names names = {0};
	DIR *dir = opendir(path);
	const struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' ||
			fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		const struct doctor_user *user = mapped_user(d, by_name ? entry->d_name : NULL, &st);
		if (user && S_ISREG(st.st_mode))
			doctor_name(&names, user->name);
	}
	if (dir)
		closedir(dir);
	return names;
}

static void judge_spool(struct doctor *d, const char *path, bool by_name, const char *service,
	const char *code, const char *fix, const char *what)
{
	struct doctor_names names = owners_in(d, path, by_name);
	char text[256];

	if (names.n && !has_session_line(service))
		doctor_find(d, DOCTOR_ERROR, code, path, 0, fix,
			"%s of %s run on the host: /etc/pam.d/%s does not ask "
			"pam_nsinit",
			what, doctor_names_text(&names, text), service);
}

/* ------------------------------------------------------------------ sudo without a session */

static void judge_sudoers(struct doctor *d, const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	cleanup_free char *text = NULL;
	size_t len;
	int number = 0;

	if (fd < 0 || nsi_read_fd(fd, path, MAX_BYTES, &text, &len, NULL) < 0)
		return;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		number++;
		if (line[strspn(line, " \t")] != '#' && strstr(line, "!pam_session"))
			doctor_find(d, DOCTOR_ERROR, "sudo-no-session", path, number,
				"remove \"!pam_session\"",
				"sudo opens no session, and runs commands as mapped users on the host");
	}
}

static void judge_sudo(struct doctor *d)
{
	static const char directory[] = "/etc/sudoers.d";
	DIR *dir = opendir(directory);
	const struct dirent *entry;
	char path[PATH_MAX];

	judge_sudoers(d, "/etc/sudoers");
	while (dir && (entry = readdir(dir))) {
		/* Those that sudo reads, sudoers(5). */
		if (strchr(entry->d_name, '.') || entry->d_name[strlen(entry->d_name) - 1] == '~')
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		judge_sudoers(d, path);
	}
	if (dir)
		closedir(dir);
}

void doctor_bypasses(struct doctor *d)
{
	static const char linger[] = "/var/lib/systemd/linger";
	struct doctor_names names = owners_in(d, linger, true);
	char text[256];

	if (!d->contains)
		return;
	judge_sudo(d);
	judge_spool(d, "/var/spool/cron/crontabs", true, "cron", "cron-bypass",
		"add the session line to /etc/pam.d/cron, or: crontab -u USER -r", "the crontabs");
	judge_spool(d, "/var/spool/cron/atjobs", false, "atd", "at-bypass",
		"add the session line to /etc/pam.d/atd, or remove them: atrm", "at jobs");
	if (names.n)
		doctor_find(d, has_session_line("systemd-user") ? DOCTOR_WARNING : DOCTOR_ERROR, "linger",
			linger, 0, "loginctl disable-linger USER",
			"%s: systemd starts a user manager for them on the host%s",
			doctor_names_text(&names, text),
			has_session_line("systemd-user")
				? ", which /etc/pam.d/systemd-user refuses"
				: ", which runs the units in ~/.config/systemd/user");
}
