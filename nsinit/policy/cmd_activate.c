/* nsinit activate: put a policy in force, unless it would lock out root or the administrator who does it. */
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/log.h"
#include "../../libcore/parse/policy.h"
#include "../../libcore/whole/rootfs.h"
#include "../../libcore/whole/state.h"
#include "../commands.h"
#include "../console/emit.h"
#include "../console/invoker.h"
#include "../container/container.h"
#include "../doctor/doctor.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

#define FRESH NSINIT_POLICY ".new"
#define OLD NSINIT_POLICY ".old"

/* ------------------------------------------------------------------ would it lock anybody out? */

/* Everything that a login would read and work out before it starts the container. */
static int check_container(
	const struct nsi_user *user, const struct nsi_decision *decision, struct nsi_error *err)
{
	cleanup_free struct nsi_login *login = calloc(1, sizeof(*login));
	struct container c;
	int rootfd = -1;

	if (!login)
		return nsi_fail(err, ENOMEM, "checking", decision->rootfs, NULL);
	int r = nsi_run_dir(err);
	if (r == 0)
		r = nsi_rootfs_open(decision, &rootfd, err);
	if (r < 0) {
		if (rootfd >= 0)
			close(rootfd);
		return r;
	}
	*login = (struct nsi_login){.user = *user, .decision = *decision};
	r = container_load(&c, rootfd, login, err);
	container_free(&c);
	return r;
}

static int check_user(const struct nsi_policy *policy, const struct nsi_user *user,
	struct nsi_decision *decision, struct nsi_error *err)
{
	int r = nsi_policy_decide(policy, user, decision, err);

	if (r < 0)
		return r;
	if (decision->verdict == NSI_DENY)
		return nsi_failf(err, EPERM, "activating", policy->path,
			user->uid == 0 ? "put { user = \"root\"; stay = \"host\"; } first" : "",
			"it would refuse %s", user->name);
	return decision->verdict == NSI_CONTAINER ? check_container(user, decision, err) : 0;
}

/* ------------------------------------------------------------------ what changes */

static const char *describe(const struct nsi_decision *d, char *buf, size_t size)
{
	if (d->verdict == NSI_CONTAINER)
		snprintf(buf, size, "container %s", d->rootfs);
	else
		snprintf(buf, size, "%s", d->verdict == NSI_STAY ? "host" : "refused");
	return buf;
}

/* `json` is a list of such objects, or NULL for people's text. */
static void print_change(const struct nsi_policy *current, const struct nsi_user *user,
	const struct nsi_decision *decision, struct emit *json)
{
	char before[1100] = "refused, there is no policy that can be read", after[1100];
	struct nsi_decision was;

	if (current && nsi_policy_decide(current, user, &was, NULL) == 0)
		describe(&was, before, sizeof(before));
	describe(decision, after, sizeof(after));
	if (json) {
		emit_open(json, NULL, '{');
		emit_text(json, "user", user->name);
		emit_text(json, "before", before);
		emit_text(json, "after", after);
		emit_close(json, '}');
	} else if (strcmp(before, after) == 0)
		printf("%s: %s, as before\n", user->name, after);
	else
		printf("%s: %s (before: %s)\n", user->name, after, before);
}

static int check_everybody(const struct nsi_policy *policy, struct emit *json, struct nsi_error *err)
{
	char names[2][256] = {"root"};
	int n = invoker_name(names[1], sizeof(names[1])) ? 2 : 1, r = 0;
	struct nsi_policy *current = NULL;

	if (nsi_policy_load(NSINIT_POLICY, &current, NULL) < 0)
		current = NULL;
	for (int i = 0; i < n && r == 0; i++) {
		struct nsi_decision decision;
		struct nsi_user user;

		r = nsi_user_lookup(names[i], &user, err);
		if (r == 0)
			r = check_user(policy, &user, &decision, err);
		if (r == 0)
			print_change(current, &user, &decision, json);
		else
			fprintf(stderr, "nsinit: %s could not log in any more:\n", names[i]);
	}
	nsi_policy_free(current);
	return r;
}

/* What of PAM would make it come to nothing. */
static void warn_of_pam(struct nsi_policy *policy)
{
	struct doctor d = {.policy = policy, .contains = true, .pam = true};

	d.findings = calloc(DOCTOR_FINDINGS, sizeof(*d.findings));
	if (!d.findings)
		return;
	doctor_pam(&d);
	for (int i = 0; i < d.n; i++)
		if (d.findings[i].severity == DOCTOR_ERROR)
			fprintf(stderr, "nsinit: warning: %s: %s; %s\n", d.findings[i].object,
				d.findings[i].message, d.findings[i].fix);
	free(d.findings);
}

/* ------------------------------------------------------------------ in force */

static int write_fresh(const char *text, size_t len, struct nsi_error *err)
{
	struct nsi_policy *policy;

	unlink(FRESH);
	cleanup_fd int fd = open(FRESH, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return nsi_fail(err, errno, "creating", FRESH, NULL);
	int r = nsi_write_full(fd, text, len);
	if (r == 0 && (fchown(fd, 0, 0) < 0 || fchmod(fd, 0644) < 0 || fsync(fd) < 0))
		r = -errno;
	if (r < 0)
		return nsi_fail(err, -r, "writing", FRESH, NULL);
	/* As a login will: the directories above count as well. */
	r = nsi_policy_load(FRESH, &policy, err);
	if (r == 0)
		nsi_policy_free(policy);
	return r;
}

/* At no time is there no policy: the present one gets a second name, and is replaced. */
static int replace(struct nsi_error *err)
{
	if (unlink(OLD) < 0 && errno != ENOENT)
		return nsi_fail(err, errno, "removing", OLD, NULL);
	if (link(NSINIT_POLICY, OLD) < 0 && errno != ENOENT)
		return nsi_fail(err, errno, "keeping the present policy as", OLD, NULL);
	if (rename(FRESH, NSINIT_POLICY) < 0)
		return nsi_fail(err, errno, "replacing", NSINIT_POLICY, NULL);
	char dir[] = NSINIT_POLICY;
	*strrchr(dir, '/') = '\0';
	cleanup_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return nsi_fail(err, errno, "writing", dir, NULL);
	return 0;
}

/* Read once: what was checked is what is installed. */
static int read_checked(
	const char *path, struct emit *json, char **ret_text, size_t *ret_len, struct nsi_error *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct nsi_policy *policy = NULL;

	if (fd < 0)
		return nsi_fail(err, errno, "opening", path, NULL);
	int r = nsi_read_fd(fd, path, NSI_POLICY_MAX_BYTES, ret_text, ret_len, err);
	if (r == 0)
		r = nsi_policy_parse(path, *ret_text, *ret_len, &policy, err);
	if (r < 0)
		return r;
	r = check_everybody(policy, json, err);
	if (r == 0)
		warn_of_pam(policy);
	nsi_policy_free(policy);
	return r;
}

static int put_in_force(const char *text, size_t len, struct nsi_error *err)
{
	char who[160];
	int r = write_fresh(text, len, err);

	if (r == 0)
		r = replace(err);
	if (r < 0) {
		unlink(FRESH);
		return r;
	}
	openlog("nsinit", LOG_PID, LOG_AUTHPRIV);
	nsi_log("nsinit", LOG_NOTICE, "policy activated: %s", invoker_text(who, sizeof(who)));
	return 0;
}

static int activate(const char *path, bool dry, struct nsi_error *err)
{
	cleanup_free char *text = NULL;
	size_t len = 0;
	int r = read_checked(path, NULL, &text, &len, err);

	if (r == 0 && !dry)
		r = put_in_force(text, len, err);
	if (r == 0)
		puts(dry ? "Nothing is changed." : NSINIT_POLICY " is replaced; the one before is " OLD ".");
	return r;
}

/* The list comes while it is found out: an error in between ends it, and is told as well. */
static int activate_json(const char *path, bool dry, struct nsi_error *err)
{
	cleanup_free char *text = NULL;
	struct emit e = {0};
	size_t len = 0;

	emit_open(&e, NULL, '{');
	emit_open(&e, "users", '[');
	int r = read_checked(path, &e, &text, &len, err);
	emit_close(&e, ']');
	if (r == 0 && !dry)
		r = put_in_force(text, len, err);
	emit_text(&e, "policy", NSINIT_POLICY);
	emit_text(&e, "previous", r == 0 && !dry ? OLD : NULL);
	emit_bool(&e, "activated", r == 0 && !dry);
	emit_close(&e, '}');
	return r;
}

int cmd_activate(int argc, char **argv)
{
	static const struct option longs[] = {
		{"dry-run", no_argument, NULL, 'n'}, {"json", no_argument, NULL, 'j'}, {0}};
	struct nsi_error err = {0};
	bool dry = false, json = false;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) == 'n' || c == 'j') {
		dry |= c == 'n';
		json |= c == 'j';
	}
	if (c != -1 || optind + 1 != argc) {
		print_usage("activate");
		return NSI_EXIT_FAILED;
	}
	if (need_root("activate", "it replaces the policy") != 0)
		return NSI_EXIT_FAILED;
	const char *path = argv[optind];
	return (json ? activate_json(path, dry, &err) : activate(path, dry, &err)) < 0 ? report(&err) : 0;
}
