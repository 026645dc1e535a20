/* nsinit check: is this container.json, or this policy, what was meant? nsinit explain: which rule holds? */
#include "../libcore/base/cleanup.h"
#include "../libcore/base/compat.h"
#include "../libcore/base/io.h"
#include "../libcore/parse/names.h"
#include "../libcore/parse/resources.h"
#include "../libcore/parse/spec.h"
#include "commands.h"
#include "mounts.h"
#include "network.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void print_resources(const struct nsi_resources *res)
{
	char text[256];

	if (res->set)
		printf("resources:    %s\n", nsi_resources_text(res, text, sizeof(text)));
}

static void print_capabilities(const char *title, uint64_t set)
{
	const char *const *names = nsi_capability_names();

	printf("%-13s", title);
	for (size_t i = 0; names[i]; i++)
		if (set & (UINT64_C(1) << nsi_capability_number(names[i])))
			printf(" %s", names[i]);
	putchar('\n');
}

static void print_amount(uint64_t amount)
{
	if (amount == RLIM_INFINITY)
		printf(" unlimited");
	else
		printf(" %llu", (unsigned long long)amount);
}

static void print_paths(const char *title, const struct nsi_path_list *paths)
{
	if (!paths->given)
		return;
	printf("%-13s", title);
	for (int i = 0; i < paths->n; i++)
		printf(" %s", paths->list[i]);
	puts(paths->n ? "" : " (none)");
}

static void print_process(const struct nsi_process_spec *p)
{
	if (p->ambient)
		print_capabilities("ambient:", p->ambient);
	printf("seccomp:      %s\n", p->seccomp_off ? "off" : "default");
	if (p->no_new_privs)
		puts("no_new_privs: true");
	for (int i = 0; i < p->limits.n; i++) {
		printf("rlimit:       %s", nsi_rlimit_names()[p->limits.list[i].resource]);
		print_amount(p->limits.list[i].soft);
		print_amount(p->limits.list[i].hard);
		putchar('\n');
	}
	if (p->limits.oom_given)
		printf("oom score:    %d\n", p->limits.oom_score_adj);
	for (int i = 0; i < p->n_sysctls; i++)
		printf("sysctl:       %s = %s\n", p->sysctls[i].name, p->sysctls[i].value);
	print_paths("masked:", &p->masked);
	print_paths("read-only:", &p->readonly);
	if (p->timezone[0])
		printf("timezone:     %s\n", p->timezone);
	for (int i = 0; i < p->n_labels; i++)
		printf("label:        %s=%s\n", p->labels[i].name, p->labels[i].value);
}

static void print_spec(const struct nsi_spec *spec)
{
	const char *const *names = nsi_namespace_names();

	printf("hostname:     %s\n", spec->hostname[0] ? spec->hostname : "(the host's)");
	printf("namespaces:  ");
	for (size_t i = 0; names[i]; i++)
		if (spec->namespaces & nsi_namespace_flag(names[i]))
			printf(" %s", names[i]);
	putchar('\n');
	print_capabilities("capabilities:", spec->capabilities);
	printf("root:         %s\n", spec->readonly_fs ? "read-only" : "writable");
	print_resources(&spec->resources);
	printf("user:         %s\n", spec->user[0] ? spec->user : "0");
	printf("working_dir:  %s\n", spec->working_dir);
	print_network(spec);
	if (spec->process.domainname[0])
		printf("domainname:   %s\n", spec->process.domainname);
	print_process(&spec->process);
	print_mounts(spec);
	for (size_t i = 0; spec->environment[i]; i++)
		printf("environment:  %s\n", spec->environment[i]);
}

static int check_spec(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	cleanup_free char *text = NULL;
	struct nsi_spec *spec = NULL;
	struct nsi_error err = {0};
	size_t len;

	if (fd < 0) {
		nsi_fail(&err, errno, "opening", path, NULL);
		return report(&err);
	}
	if (nsi_read_fd(fd, path, NSI_SPEC_MAX_BYTES, &text, &len, &err) < 0 ||
		nsi_spec_parse(path, text, len, &spec, &err) < 0)
		return report(&err);
	print_spec(spec);
	nsi_spec_free(spec);
	return 0;
}

static int check_policy(const char *path)
{
	struct nsi_policy *policy;
	struct nsi_error err = {0};

	if (nsi_policy_load(path, &policy, &err) < 0)
		return report(&err);
	nsi_policy_free(policy);
	printf("%s: no errors\n", path);
	return 0;
}

int cmd_check(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "container.json";
	char inside[PATH_MAX];
	struct stat st;

	if (argc > 2) {
		fputs("usage: nsinit check [CONTAINER.JSON | ROOTFS | POLICY.conf]\n", stderr);
		return NSI_EXIT_FAILED;
	}
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		snprintf(inside, sizeof(inside), "%s/container.json", path);
		path = inside;
	}
	size_t len = strlen(path);
	return len > 5 && strcmp(path + len - 5, ".conf") == 0 ? check_policy(path) : check_spec(path);
}

static void print_lifetime(const struct nsi_decision *d)
{
	printf("lifetime:  ");
	if (d->lifetime == NSI_LIFETIME_FOREVER)
		puts("forever");
	else if (d->lifetime == NSI_LIFETIME_LAST_SESSION)
		puts("last-session");
	else if (d->lifetime == NSI_LIFETIME_LINGER)
		printf("linger, until %d s without session and process\n", d->idle);
	else
		printf("%d s after the last session\n", d->lifetime);
	if (d->max_age)
		printf("max age:   %d s\n", d->max_age);
	if (d->max_sessions)
		printf("sessions:  at most %d\n", d->max_sessions);
	if (d->shell[0])
		printf("shell:     %s\n", d->shell);
}

static void print_limits(const struct nsi_decision *d)
{
	char text[256];

	if (d->limits.set)
		printf("limits:    %s%s\n", nsi_resources_text(&d->limits, text, sizeof(text)),
			d->clamp ? ", more is cut down to it" : "");
	if (d->best_effort)
		puts("resources: best-effort");
}

static void print_decision(const char *policy, const struct nsi_user *user, const struct nsi_decision *d)
{
	static const char *const verdicts[] = {"stays on the host", "is refused", "lands in a container"};
	static const char *const userns[] = {"auto", "off"}, *const home[] = {"bind", "none"};
	static const char *const accounts[] = {"auto", "image"}, *const dns[] = {"image", "host"};

	printf("%s (uid %u) %s\n", user->name, (unsigned)user->uid, verdicts[d->verdict]);
	if (d->line)
		printf("rule:      %s:%d\n", policy, d->line);
	else
		printf("rule:      none matches; \"unmapped\" of %s decides\n", policy);
	if (d->verdict == NSI_DENY)
		printf("told:      %s\n", d->text);
	if (d->verdict != NSI_CONTAINER)
		return;
	printf("rootfs:    %s\nuserns:    %s\nhome:      %s\naccounts:  %s\ndns:       %s\n", d->rootfs,
		userns[d->userns], home[d->home], accounts[d->accounts], dns[d->dns]);
	print_root(d);
	print_lifetime(d);
	print_limits(d);
	print_network_policy(&d->network);
}

static int explain_usage(void)
{
	fputs("usage: nsinit explain [--service NAME] USER [POLICY]\n", stderr);
	return NSI_EXIT_FAILED;
}

/* How a service would bring the user in, and whether it can. */
static void print_service(const struct nsi_policy *policy, const char *service, const struct nsi_user *user,
	const struct nsi_decision *d)
{
	static const char *const ways[] = {
		"enters in the child that calls setcred once more",
		"enters with the process that opens the session, before it forks",
		"runs the login shell, nsinit-shell, which enters",
		"refused: it does not lead into a container; see \"services\" in nsinit.conf(5)",
	};
	enum nsi_service_mode mode = nsi_policy_service(policy, service);
	const char *obstacle = "";

	if (mode == NSI_SERVICE_SHELL && strcmp(user->shell, NSINIT_SHELL) != 0)
		obstacle = "; refused: the user's shell is not " NSINIT_SHELL;
	else if ((mode == NSI_SERVICE_SHELL || mode == NSI_SERVICE_JOIN) && d->userns == NSI_USERNS_OFF)
		obstacle = "; refused: that needs a user namespace";
	if (d->verdict == NSI_CONTAINER)
		printf("%-10s %s%s\n", service, ways[mode], obstacle);
}

int cmd_explain(int argc, char **argv)
{
	static const struct option longs[] = {{"service", required_argument, NULL, 's'}, {0}};
	const char *service = "sshd";
	struct nsi_policy *policy;
	struct nsi_decision d;
	struct nsi_user user;
	struct nsi_error err = {0};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c != 's')
			return explain_usage();
		service = optarg;
	}
	if (argc - optind < 1 || argc - optind > 2)
		return explain_usage();
	const char *path = argc - optind == 2 ? argv[optind + 1] : NSINIT_POLICY;
	if (nsi_policy_load(path, &policy, &err) < 0)
		return report(&err);
	int r = nsi_user_lookup(argv[optind], &user, &err);
	if (r == 0)
		r = nsi_policy_decide(policy, &user, &d, &err);
	if (r == 0) {
		print_decision(path, &user, &d);
		print_service(policy, service, &user, &d);
	}
	nsi_policy_free(policy);
	return r < 0 ? report(&err) : 0;
}
