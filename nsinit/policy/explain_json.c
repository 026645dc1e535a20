/* nsinit explain --json. */
#include "../../libcore/parse/resources.h"
#include "../console/emit.h"
#include "explain.h"

#include <stdio.h>
#include <string.h>

static void emit_tried(struct emit *out, const struct explanation *e)
{
	static const char *const reasons[] = {
		[NSI_RULE_OTHER_USER] = "user", [NSI_RULE_OTHER_GROUP] = "group"};

	emit_open(out, "tried", '[');
	for (int i = 0; i < e->n_tried; i++) {
		emit_open(out, NULL, '{');
		emit_number(out, "line", e->policy->rules[i].line);
		emit_bool(out, "matches", e->tried[i] == NSI_RULE_MATCHES);
		emit_text(out, "other", reasons[e->tried[i]]);
		emit_close(out, '}');
	}
	emit_close(out, ']');
}

/* "a\nb\n" */
static void emit_lines(struct emit *out, const char *key, const char *lines)
{
	char line[1024];

	emit_open(out, key, '[');
	for (const char *p = lines; *p; p += strcspn(p, "\n") + 1) {
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(p, "\n"), p);
		emit_text(out, NULL, line);
	}
	emit_close(out, ']');
}

static void emit_known_number(struct emit *out, const char *key, long long number)
{
	if (number)
		emit_number(out, key, number);
	else
		emit_null(out, key);
}

static void emit_root(struct emit *out, const struct nsi_decision *d)
{
	emit_text(out, "rootfs", d->rootfs);
	emit_known(out, "image", d->image);
	emit_known(out, "config", d->config);
	emit_bool(out, "ephemeral", d->ephemeral);
	emit_known(out, "ephemeral_size", d->ephemeral ? d->ephemeral_size : NULL);
	emit_known_number(out, "size", (long long)d->size);
	emit_text(out, "ownership", d->ownership == NSI_OWNERSHIP_SHIFTED ? "shifted" : "host");
	emit_lines(out, "mounts", d->mount_limits);
}

static void emit_lifetime(struct emit *out, const struct nsi_decision *d)
{
	if (d->lifetime == NSI_LIFETIME_FOREVER)
		emit_text(out, "lifetime", "forever");
	else if (d->lifetime == NSI_LIFETIME_LAST_SESSION)
		emit_text(out, "lifetime", "last-session");
	else if (d->lifetime == NSI_LIFETIME_LINGER)
		emit_text(out, "lifetime", "linger");
	else
		emit_number(out, "lifetime", d->lifetime);
	emit_known_number(out, "idle", d->lifetime == NSI_LIFETIME_LINGER ? d->idle : 0);
	emit_known_number(out, "max_age", d->max_age);
	emit_known_number(out, "max_sessions", d->max_sessions);
	emit_known(out, "shell", d->shell);
	if (d->machined)
		emit_bool(out, "machined", true);
}

static void emit_limits(struct emit *out, const struct nsi_decision *d)
{
	char text[256];

	emit_known(out, "limits", d->limits.set ? nsi_resources_text(&d->limits, text, sizeof(text)) : NULL);
	emit_known(out, "session_limits",
		d->session_limits.set ? nsi_resources_text(&d->session_limits, text, sizeof(text)) : NULL);
	emit_bool(out, "clamp", d->clamp);
	emit_bool(out, "best_effort", d->best_effort);
}

static void emit_network(struct emit *out, const struct nsi_network_policy *network)
{
	emit_bool(out, "host_network", network->host);
	if (!network->bridges_limited && !network->n_networks) {
		emit_null(out, "bridges"); /* any that exists */
		return;
	}
	emit_open(out, "bridges", '[');
	for (int i = 0; network->bridges_limited && i < network->n_bridges; i++)
		emit_text(out, NULL, network->bridges[i]);
	for (int i = 0; !network->bridges_limited && i < network->n_networks; i++)
		emit_text(out, NULL, network->networks[i].name);
	emit_close(out, ']');
}

static void emit_recording(struct emit *out, const struct nsi_recording *r)
{
	emit_text(out, "record", r->tty ? "tty" : "none");
	emit_known(out, "record_dir", r->tty ? r->dir : NULL);
	emit_bool(out, "record_input", r->input);
	emit_bool(out, "record_required", r->required);
	emit_known_number(out, "record_size", (long long)r->size);
}

static void emit_service(struct emit *out, const struct explanation *e)
{
	static const char *const modes[] = {[NSI_SERVICE_SPLIT] = "split",
		[NSI_SERVICE_JOIN] = "join",
		[NSI_SERVICE_SHELL] = "shell",
		[NSI_SERVICE_DENY] = "deny"};

	emit_open(out, "service", '{');
	emit_text(out, "name", e->service);
	emit_text(out, "mode", modes[e->mode]);
	emit_text(out, "refused", e->obstacle);
	emit_bool(out, "refused_at_terminal", e->obstacle || e->no_terminal);
	emit_close(out, '}');
}

static void emit_container(struct emit *out, const struct explanation *e)
{
	const struct nsi_decision *d = &e->decision;

	emit_open(out, "container", '{');
	emit_root(out, d);
	emit_text(out, "userns", d->userns == NSI_USERNS_OFF ? "off" : "auto");
	emit_text(out, "home", d->home == NSI_HOME_NONE ? "none" : "bind");
	emit_text(out, "accounts", d->accounts == NSI_ACCOUNTS_IMAGE ? "image" : "auto");
	emit_text(out, "dns", d->dns == NSI_DNS_HOST ? "host" : "image");
	emit_text(out, "tty", d->tty == NSI_TTY_RELAY ? "relay" : "container");
	emit_lifetime(out, d);
	emit_limits(out, d);
	emit_network(out, &d->network);
	emit_recording(out, &d->recording);
	emit_service(out, e);
	emit_close(out, '}');
}

void explain_in_json(const struct explanation *e)
{
	static const char *const results[] = {
		[NSI_STAY] = "host", [NSI_DENY] = "deny", [NSI_CONTAINER] = "container"};
	const struct nsi_decision *d = &e->decision;
	struct emit out = {0};

	emit_open(&out, NULL, '{');
	emit_text(&out, "user", e->user.name);
	emit_number(&out, "uid", e->user.uid);
	emit_text(&out, "result", results[d->verdict]);
	emit_text(&out, "policy", e->path);
	emit_known_number(&out, "line", d->line);
	emit_tried(&out, e);
	emit_known(&out, "text", d->verdict == NSI_DENY ? d->text : NULL);
	if (d->verdict == NSI_CONTAINER)
		emit_container(&out, e);
	else
		emit_null(&out, "container");
	emit_close(&out, '}');
}
