/* nsinit explain: which rule of the policy holds for a user, and what would happen. */
#include "../../libcore/parse/resources.h"
#include "../commands.h"
#include "../container/mounts.h"
#include "../container/network.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

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
