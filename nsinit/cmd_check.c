/* nsinit check: is this container.json, or this policy, what was meant? nsinit explain: which rule holds? */
#include "../libcore/base/cleanup.h"
#include "../libcore/base/compat.h"
#include "../libcore/base/io.h"
#include "../libcore/parse/names.h"
#include "../libcore/parse/spec.h"
#include "commands.h"
#include "mounts.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void print_spec(const struct nsi_spec *spec)
{
	const char *const *names = nsi_namespace_names();

	printf("hostname:     %s\n", spec->hostname[0] ? spec->hostname : "(the host's)");
	printf("namespaces:  ");
	for (size_t i = 0; names[i]; i++)
		if (spec->namespaces & nsi_namespace_flag(names[i]))
			printf(" %s", names[i]);
	printf("\ncapabilities:");
	names = nsi_capability_names();
	for (size_t i = 0; names[i]; i++)
		if (spec->capabilities & (UINT64_C(1) << nsi_capability_number(names[i])))
			printf(" %s", names[i]);
	printf("\nroot:         %s\n", spec->readonly_fs ? "read-only" : "writable");
	printf("user:         %s\n", spec->user[0] ? spec->user : "0");
	printf("working_dir:  %s\n", spec->working_dir);
	if (spec->network.present)
		printf("network:      eth0 on bridge %s, MTU %u\n", spec->network.bridge, spec->network.mtu);
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
