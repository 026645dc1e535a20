/* nsinit doctor: what on this host would break logins into containers, or lead around them. */
#include "../commands.h"
#include "../console/emit.h"
#include "../console/options.h"
#include "../console/show.h"
#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_ERRORS = 1 };

static const char *const severities[] = {"error", "warning", "note"};

void doctor_find(struct doctor *d, enum doctor_severity severity, const char *code, const char *object,
	int line, const char *fix, const char *message, ...)
{
	struct doctor_finding *f = &d->findings[d->n];
	va_list ap;

	d->errors += severity == DOCTOR_ERROR;
	if (d->n == DOCTOR_FINDINGS)
		return;
	f->severity = severity;
	f->line = line;
	snprintf(f->code, sizeof(f->code), "%s", code);
	snprintf(f->object, sizeof(f->object), "%s", object ? object : "");
	snprintf(f->fix, sizeof(f->fix), "%s", fix);
	va_start(ap, message);
	vsnprintf(f->message, sizeof(f->message), message, ap);
	va_end(ap);
	make_printable(f->object);
	make_printable(f->message);
	make_printable(f->fix);
	d->n++;
}

void doctor_find_error(struct doctor *d, enum doctor_severity severity, const char *code, const char *what,
	const struct nsi_error *err)
{
	doctor_find(d, severity, code, err->object, 0,
		err->hint[0] ? err->hint : "look at what is named there", "%s: %s: %s", what, err->step,
		err->cause);
}

void doctor_name(struct doctor_names *names, const char *name)
{
	size_t used = strlen(names->text);

	/* The first few. */
	if (used + strlen(name) + 3 < sizeof(names->text) / 2)
		snprintf(names->text + used, sizeof(names->text) - used, "%s%s", used ? ", " : "", name);
	else
		names->more++;
	names->n++;
}

const char *doctor_names_text(const struct doctor_names *names, char buf[256])
{
	if (names->more)
		snprintf(buf, 256, "%s and %d more", names->text, names->more);
	else
		snprintf(buf, 256, "%s", names->text);
	return buf;
}

static void look(struct doctor *d)
{
	doctor_policy(d);
	doctor_users(d);
	doctor_sshd(d);
	doctor_pam(d);
	doctor_shells(d);
	doctor_bypasses(d);
	doctor_directories(d);
	doctor_kernel(d);
	doctor_state(d);
}

static void print_lines(const struct doctor *d)
{
	int counts[3] = {0};

	for (int s = 0; s < 3; s++)
		for (int i = 0; i < d->n; i++) {
			const struct doctor_finding *f = &d->findings[i];

			if ((int)f->severity != s)
				continue;
			counts[s]++;
			printf("%s: ", severities[s]);
			if (f->object[0])
				fputs(f->object, stdout);
			if (f->line)
				printf(":%d", f->line);
			printf("%s%s [%s]\n  fix: %s\n", f->object[0] ? ": " : "", f->message, f->code,
				f->fix);
		}
	printf("errors: %d, warnings: %d, notes: %d\n", counts[0], counts[1], counts[2]);
}

static void print_object(const struct doctor *d)
{
	struct emit e = {0};

	emit_open(&e, NULL, '{');
	emit_bool(&e, "ok", d->errors == 0);
	emit_text(&e, "user", d->only);
	emit_number(&e, "mapped_users", d->n_mapped);
	emit_number(&e, "shell_users", d->n_shell);
	emit_open(&e, "findings", '[');
	for (int i = 0; i < d->n; i++) {
		const struct doctor_finding *f = &d->findings[i];

		emit_open(&e, NULL, '{');
		emit_text(&e, "code", f->code);
		emit_text(&e, "severity", severities[f->severity]);
		emit_known(&e, "object", f->object);
		if (f->line)
			emit_number(&e, "line", f->line);
		else
			emit_null(&e, "line");
		emit_text(&e, "message", f->message);
		emit_text(&e, "fix", f->fix);
		emit_close(&e, '}');
	}
	emit_close(&e, ']');
	emit_close(&e, '}');
}

int cmd_doctor(int argc, char **argv)
{
	struct options_common o;
	struct doctor d = {0};

	if (!options_parse(argc, argv, "j", 1, &o))
		return NSI_EXIT_FAILED;
	if (need_root("doctor", "it reads what only root may") != 0)
		return NSI_EXIT_FAILED;
	d.only = argv[o.rest];
	d.users = calloc(DOCTOR_USERS, sizeof(*d.users));
	d.findings = calloc(DOCTOR_FINDINGS, sizeof(*d.findings));
	if (!d.users || !d.findings)
		return NSI_EXIT_FAILED;
	look(&d);
	if (o.json)
		print_object(&d);
	else
		print_lines(&d);
	nsi_policy_free(d.policy);
	free(d.users);
	free(d.findings);
	return d.errors ? EXIT_ERRORS : 0;
}
