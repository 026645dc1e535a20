/* nsinit doctor: does PAM ask pam_nsinit, always, and at the right place? */
#include "../../libcore/base/cleanup.h"
#include "doctor.h"
#include "pam_stack.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char module[] = "pam_nsinit.so";

#define SESSION_LINE "session required pam_nsinit.so exempt=root"

/* Services that run something as a user. */
static const char *const services[] = {"sshd", "su", "su-l", "sudo", "sudo-i", "runuser", "runuser-l", "cron",
	"crond", "atd", "login", "systemd-user"};

/* Those whose session lines, by way of "@include common-session", run nothing as a user; and parts of others.
 */
static const char *const harmless[] = {"chfn", "chsh", "chpasswd", "newusers", "passwd", "polkit-1",
	"groupadd", "groupdel", "groupmod", "useradd", "userdel", "usermod", "common-account", "common-auth",
	"common-password", "common-session", "common-session-noninteractive"};

static bool lists(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* Where the line is to go: a file of the distribution in /usr is copied first. */
static const char *edit_fix(
	const struct pam_stack *stack, const char *service, const char *line, char fix[512])
{
	if (strncmp(stack->file, "/etc/", 5) == 0)
		snprintf(fix, 512, "add \"%s\" at the end of %s", line, stack->file);
	else
		snprintf(fix, 512, "copy %s to /etc/pam.d/%s, and add \"%s\" at its end", stack->file,
			service, line);
	return fix;
}

/* ------------------------------------------------------------------ the session line */

static bool is_service(const char *name)
{
	return lists(services, sizeof(services) / sizeof(services[0]), name);
}

/* As su-l includes su on Debian: then the one line does for both. */
static bool includes_other_service(const struct pam_stack *stack)
{
	for (int i = 0; i < stack->n; i++) {
		const char *file = stack->lines[i].file;

		if (strcmp(file, stack->file) != 0 && is_service(strrchr(file, '/') + 1))
			return true;
	}
	return false;
}

static void judge_missing(struct doctor *d, const char *service, const struct pam_stack *stack)
{
	char fix[512];

	if (!includes_other_service(stack))
		doctor_find(d, DOCTOR_ERROR, "pam-session-missing", stack->file, 0,
			edit_fix(stack, service, SESSION_LINE, fix),
			"no line \"session required pam_nsinit.so\": mapped users stay on the host there");
}

static void judge_control(struct doctor *d, const struct pam_line *line)
{
	if (!line_is_binding(line))
		doctor_find(d, DOCTOR_ERROR, "pam-session-control", line->file, line->line,
			"say \"session required pam_nsinit.so\"",
			"\"%s\": who is refused by pam_nsinit gets in nevertheless, on the host",
			line->control);
	if (line->dash)
		doctor_find(d, DOCTOR_ERROR, "pam-session-dash", line->file, line->line,
			"remove the \"-\" before \"session\"",
			"with \"-session\" everybody stays on the host, should the module be missing");
}

/* Of pam_nsinit(8): anything else is refused, and so is the user. */
static void judge_arguments(struct doctor *d, const char *service, const struct pam_line *line)
{
	char text[256], *rest = text, *word;
	bool exempt = false;

	snprintf(text, sizeof(text), "%s", line->arguments);
	while ((word = strsep(&rest, " "))) {
		if (!*word || strcmp(word, "debug") == 0)
			continue;
		if (strncmp(word, "exempt=", 7) == 0 && word[7]) {
			exempt = true;
		} else if (strncmp(word, "policy=", 7) == 0) {
			if (strcmp(word + 7, NSINIT_POLICY) != 0)
				doctor_find(d, DOCTOR_WARNING, "pam-other-policy", line->file, line->line,
					"remove \"policy=\", or check that file by itself",
					"%s goes by %s, and not by " NSINIT_POLICY, service, word + 7);
		} else {
			doctor_find(d, DOCTOR_ERROR, "pam-argument", line->file, line->line, "remove it",
				"pam_nsinit knows no argument \"%s\": everybody is refused", word);
		}
	}
	if (!exempt && strcmp(service, "atd") != 0 && strncmp(service, "cron", 4) != 0 &&
		strcmp(service, "systemd-user") != 0)
		doctor_find(d, DOCTOR_WARNING, "pam-no-exempt", line->file, line->line, "add \"exempt=root\"",
			"should the policy have a fault, not even root gets in by %s to repair it", service);
}

static void judge_place(struct doctor *d, const char *service, const struct pam_stack *stack, int at)
{
	enum nsi_service_mode mode = d->policy ? nsi_policy_service(d->policy, service) : NSI_SERVICE_JOIN;
	const struct pam_line *line = &stack->lines[at], *other;
	int culprit, again = stack_find(stack, module, at + 1);

	if (stack_avoids(stack, at, &culprit)) {
		other = &stack->lines[culprit];
		doctor_find(d, DOCTOR_ERROR, "pam-session-unreachable", other->file, other->line,
			"move the line of pam_nsinit before it, or say \"required\"",
			"\"%s %s\" can let the session of %s begin without %s:%d, where pam_nsinit stands: "
			"on the "
			"host",
			other->control, other->module, service, line->file, line->line);
	}
	if (again >= 0) {
		doctor_find(d, DOCTOR_ERROR, "pam-session-twice", stack->lines[again].file,
			stack->lines[again].line, "remove one of the two lines",
			"%s asks pam_nsinit a second time (the first: %s:%d), when the session is inside "
			"already",
			service, line->file, line->line);
	} else if (at + 1 < stack->n && mode != NSI_SERVICE_DENY) {
		other = &stack->lines[at + 1];
		doctor_find(d, DOCTOR_WARNING, "pam-session-order", line->file, line->line,
			"move it behind all other session lines", "%s of %s:%d comes after it%s",
			other->module, other->file, other->line,
			mode == NSI_SERVICE_JOIN ? ", and acts inside the container, as its root"
						 : ": when that fails the session was open already");
	}
}

static void judge_session(struct doctor *d, const char *service)
{
	struct pam_stack stack;

	if (stack_read(service, "session", &stack, NULL) < 0)
		return;
	int at = stack_find(&stack, module, 0);
	if (stack.missing[0])
		doctor_find(d, DOCTOR_ERROR, "pam-include-missing", stack.file, 0, "install or remove it",
			"it includes %s, which cannot be read: nobody gets in", stack.missing);
	if (at < 0) {
		judge_missing(d, service, &stack);
	} else {
		judge_control(d, &stack.lines[at]);
		judge_arguments(d, service, &stack.lines[at]);
		judge_place(d, service, &stack, at);
	}
	stack_free(&stack);
}

/* ------------------------------------------------------------------ sshd's auth line */

static void judge_auth_place(struct doctor *d, const struct pam_stack *stack, int at)
{
	const struct pam_line *line = &stack->lines[at], *other;
	int culprit;
	int stops = stack_stops_before(stack, at);

	if (stack_avoids(stack, at, &culprit)) {
		other = &stack->lines[culprit];
		doctor_find(d, DOCTOR_ERROR, "pam-auth-unreachable", other->file, other->line,
			"move the auth line of pam_nsinit before it",
			"\"%s %s\" can end the stack before %s:%d, where pam_nsinit stands: mapped users are "
			"refused "
			"(sshd logs \"setresuid: Operation not permitted\")",
			other->control, other->module, line->file, line->line);
	} else if (stops >= 0) {
		other = &stack->lines[stops];
		doctor_find(d, DOCTOR_WARNING, "pam-auth-may-stop", other->file, other->line,
			"say \"required\", or move the auth line of pam_nsinit before it",
			"when \"%s %s\" fails in pam_setcred, which sshd ignores, mapped users are refused "
			"(sshd logs \"setresuid: Operation not permitted\")",
			other->control, other->module);
	}
	if (at + 1 < stack->n) {
		other = &stack->lines[at + 1];
		doctor_find(d, DOCTOR_WARNING, "pam-auth-order", line->file, line->line,
			"move it behind all other auth lines",
			"%s of %s:%d comes after it, and acts inside the container", other->module,
			other->file, other->line);
	}
}

static void judge_auth(struct doctor *d)
{
	struct pam_stack stack;

	if (d->policy && nsi_policy_service(d->policy, "sshd") != NSI_SERVICE_SPLIT)
		return;
	if (stack_read("sshd", "auth", &stack, NULL) < 0)
		return;
	int at = stack_find(&stack, module, 0);
	if (at < 0)
		doctor_find(d, DOCTOR_ERROR, "pam-auth-missing", stack.file, 0,
			"add \"auth optional pam_nsinit.so\" behind its last auth line",
			"no line \"auth optional pam_nsinit.so\": mapped users are refused by sshd");
	else
		judge_auth_place(d, &stack, at);
	stack_free(&stack);
}

/* ------------------------------------------------------------------ the module, and other services */

static void judge_module(struct doctor *d)
{
	static const char path[] = NSINIT_PAMDIR "/pam_nsinit.so";
	struct stat st;

	if (stat(path, &st) < 0)
		doctor_find(d, DOCTOR_ERROR, "pam-module-missing", path, 0, "install it",
			"the module is not there: services that have its line refuse everybody");
	else if (st.st_uid != 0 || (st.st_mode & 022))
		doctor_find(d, DOCTOR_ERROR, "pam-module-mode", path, 0, "chown root; chmod 0644",
			"others than root can write the module");
}

static void judge_other(struct doctor *d, const char *service)
{
	struct pam_stack stack;
	char fix[512];
	size_t len = strlen(service);

	if (is_service(service) || lists(harmless, sizeof(harmless) / sizeof(harmless[0]), service) ||
		service[len - 1] == '~' || strchr(service, '.'))
		return;
	if (stack_read(service, "session", &stack, NULL) < 0)
		return;
	if (stack.n > 0 && stack_find(&stack, module, 0) < 0)
		doctor_find(d, DOCTOR_WARNING, "pam-other-service", stack.file, 0,
			edit_fix(&stack, service, SESSION_LINE, fix), "%s",
			strcmp(service, "other") == 0 ? "services without a file of their own open sessions "
							"for mapped users on the host"
						      : "it opens sessions without asking pam_nsinit: what "
							"it runs for mapped users runs on "
							"the host");
	stack_free(&stack);
}

static void judge_others(struct doctor *d)
{
	DIR *dir = opendir("/etc/pam.d");
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			judge_other(d, entry->d_name);
	if (dir)
		closedir(dir);
}

void doctor_pam(struct doctor *d)
{
	if (!d->contains)
		return;
	judge_module(d);
	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		if (d->pam || strcmp(services[i], "sshd") != 0)
			judge_session(d, services[i]);
	if (d->pam)
		judge_auth(d);
	judge_others(d);
}
