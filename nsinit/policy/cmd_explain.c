/* nsinit explain: what the policy says of a user, rule by rule, and what would happen. */
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/error.h"
#include "../commands.h"
#include "explain.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char *obstacle(const struct explanation *e)
{
	bool enters_here = e->mode == NSI_SERVICE_SHELL || e->mode == NSI_SERVICE_JOIN;

	if (e->mode == NSI_SERVICE_DENY)
		return "it does not lead into a container; see \"services\" in nsinit.conf(5)";
	if (e->mode == NSI_SERVICE_SHELL && strcmp(e->user.shell, NSINIT_SHELL) != 0)
		return "the user's shell is not " NSINIT_SHELL;
	if (enters_here && e->decision.userns == NSI_USERNS_OFF)
		return "that needs a user namespace";
	return NULL;
}

static int try_rules(struct explanation *e, struct nsi_error *err)
{
	const int n = e->policy->n_rules;

	e->tried = calloc((size_t)n + 1, sizeof(*e->tried));
	if (!e->tried)
		return nsi_fail(err, ENOMEM, "reading", e->path, NULL);
	for (int i = 0; i < n; i++) {
		int r = nsi_rule_match(&e->policy->rules[i], &e->user, &e->tried[i], err);

		if (r < 0)
			return r;
		e->n_tried = i + 1;
		if (e->tried[i] == NSI_RULE_MATCHES)
			break;
	}
	return 0;
}

static int explain(struct explanation *e, const char *name, bool json, struct nsi_error *err)
{
	int r = nsi_user_lookup(name, &e->user, err);

	if (r == 0)
		r = try_rules(e, err);
	if (r == 0)
		r = nsi_policy_decide(e->policy, &e->user, &e->decision, err);
	if (r < 0)
		return r;
	e->mode = nsi_policy_service(e->policy, e->service);
	e->obstacle = obstacle(e);
	e->no_terminal = !e->obstacle && e->mode == NSI_SERVICE_JOIN && e->decision.recording.tty;
	if (json)
		explain_in_json(e);
	else
		explain_in_text(e);
	return 0;
}

int cmd_explain(int argc, char **argv)
{
	static const struct option longs[] = {
		{"service", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'}, {0}};
	struct explanation e = {.service = "sshd", .path = NSINIT_POLICY};
	struct nsi_policy *policy;
	struct nsi_error err = {0};
	bool json = false, known = true;
	int c;

	while (known && (c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 's')
			e.service = optarg;
		else if (c == 'j')
			json = true;
		else
			known = false;
	}
	if (!known || argc - optind < 1 || argc - optind > 2) {
		print_usage("explain");
		return NSI_EXIT_FAILED;
	}
	if (argc - optind == 2)
		e.path = argv[optind + 1];
	if (nsi_policy_load(e.path, &policy, &err) < 0)
		return report(&err);
	e.policy = policy;
	int r = explain(&e, argv[optind], json, &err);
	free(e.tried);
	nsi_policy_free(policy);
	return r < 0 ? report(&err) : 0;
}
