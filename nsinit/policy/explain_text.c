/* nsinit explain: for people. */
#include "../../libcore/parse/resources.h"
#include "../console/show.h"
#include "explain.h"

#include <stdio.h>

static void print_names(const char **names)
{
	for (int i = 0; names && names[i]; i++)
		printf("%s%s", i ? ", " : "", names[i]);
}

/* Which part of each rule was decisive. */
static void print_tried(const struct explanation *e)
{
	char line[24];

	for (int i = 0; i < e->n_tried; i++) {
		const struct nsi_rule *rule = &e->policy->rules[i];

		snprintf(line, sizeof(line), "line %d:", rule->line);
		printf("%-10s ", line);
		if (e->tried[i] == NSI_RULE_OTHER_USER) {
			printf("no, for user ");
			print_names(rule->users);
		} else if (e->tried[i] == NSI_RULE_OTHER_GROUP) {
			printf("no, for group ");
			print_names(rule->groups);
		} else {
			printf("yes, for %s ", rule->groups ? "group" : "user");
			print_names(rule->groups ? rule->groups : rule->users);
		}
		putchar('\n');
	}
}

static void print_root(const struct nsi_decision *d)
{
	char size[32];

	printf("rootfs:    %s\n", d->rootfs);
	if (d->image[0])
		printf("image:     %s\n", d->image);
	if (d->ephemeral)
		printf("changes:   in memory, at most %s, gone with the container\n", d->ephemeral_size);
	if (d->size)
		printf("changes:   on disk, at most %s\n", nsi_size_text(d->size, size, sizeof(size)));
	if (d->config[0])
		printf("config:    %s\n", d->config);
	if (d->ownership == NSI_OWNERSHIP_SHIFTED)
		puts("ownership: shifted");
	printf("mounts:   ");
	if (d->mount_limits[0])
		print_words(d->mount_limits);
	else
		printf(" nothing of the host");
	puts("");
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
	if (d->machined)
		puts("machined:  is told");
}

static void print_limits(const struct nsi_decision *d)
{
	char text[256];

	if (d->limits.set)
		printf("limits:    %s%s\n", nsi_resources_text(&d->limits, text, sizeof(text)),
			d->clamp ? ", more is cut down to it" : "");
	if (d->session_limits.set)
		printf("a session: %s\n", nsi_resources_text(&d->session_limits, text, sizeof(text)));
	if (d->best_effort)
		puts("resources: best-effort");
}

static void print_recording(const char *user, const struct nsi_recording *r)
{
	char size[24];

	if (!r->tty)
		return;
	printf("record:    tty%s, in %s/%s", r->input ? " with what is typed" : "", r->dir, user);
	if (r->size)
		printf(", at most %s a session", nsi_size_text(r->size, size, sizeof(size)));
	puts(r->required ? ", required" : "");
}

static void print_network(const struct nsi_network_policy *network)
{
	if (network->host)
		puts("network:   the host's is allowed");
	printf("bridges:  ");
	if (network->bridges_limited && !network->n_bridges)
		printf(" none");
	else if (!network->bridges_limited && !network->n_networks)
		printf(" any that exists");
	for (int i = 0; network->bridges_limited && i < network->n_bridges; i++)
		printf(" %s", network->bridges[i]);
	for (int i = 0; !network->bridges_limited && i < network->n_networks; i++)
		printf(" %s", network->networks[i].name);
	putchar('\n');
}

static void print_container(const struct nsi_decision *d)
{
	print_root(d);
	printf("userns:    %s\n", d->userns == NSI_USERNS_OFF ? "off" : "auto");
	printf("home:      %s\n", d->home == NSI_HOME_NONE ? "none" : "bind");
	printf("accounts:  %s\n", d->accounts == NSI_ACCOUNTS_IMAGE ? "image" : "auto");
	printf("dns:       %s\n", d->dns == NSI_DNS_HOST ? "host" : "image");
	if (d->tty == NSI_TTY_RELAY)
		puts("tty:       relay");
	print_lifetime(d);
	print_limits(d);
	print_network(&d->network);
}

static void print_service(const struct explanation *e)
{
	static const char *const ways[] = {
		[NSI_SERVICE_SPLIT] = "enters in the child that calls setcred once more",
		[NSI_SERVICE_JOIN] = "enters with the process that opens the session, before it forks",
		[NSI_SERVICE_SHELL] = "runs the login shell, nsinit-shell, which enters",
	};

	printf("%-10s ", e->service);
	if (e->mode == NSI_SERVICE_DENY)
		printf("refused: %s\n", e->obstacle);
	else if (e->obstacle)
		printf("%s; refused: %s\n", ways[e->mode], e->obstacle);
	else
		printf("%s%s\n", ways[e->mode],
			e->no_terminal ? "; refused at a terminal, which could not be recorded" : "");
}

void explain_in_text(const struct explanation *e)
{
	static const char *const verdicts[] = {[NSI_STAY] = "stays on the host",
		[NSI_DENY] = "is refused",
		[NSI_CONTAINER] = "lands in a container"};
	const struct nsi_decision *d = &e->decision;

	printf("%s (uid %u) %s\n", e->user.name, (unsigned)e->user.uid, verdicts[d->verdict]);
	print_tried(e);
	if (d->line)
		printf("rule:      %s:%d\n", e->path, d->line);
	else
		printf("rule:      none matches; \"unmapped\" of %s decides\n", e->path);
	if (d->verdict == NSI_DENY)
		printf("told:      %s\n", d->text);
	if (d->verdict != NSI_CONTAINER)
		return;
	print_container(d);
	print_recording(e->user.name, &d->recording);
	print_service(e);
}
