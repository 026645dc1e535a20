/* nsinit check: what was found out, for people. */
#include "../../libcore/base/compat.h"
#include "../../libcore/parse/names.h"
#include "../../libcore/parse/resources.h"
#include "../console/show.h"
#include "../container/mounts.h"
#include "../container/network.h"
#include "check.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static void print_capabilities(const char *title, uint64_t set)
{
	const char *const *names = nsi_capability_names();

	printf("%-13s", title);
	for (size_t i = 0; names[i]; i++)
		if (set & (UINT64_C(1) << nsi_capability_number(names[i])))
			printf(" %s", names[i]);
	puts(set ? "" : " (none)");
}

static void print_amount(uint64_t amount)
{
	if (amount == RLIM_INFINITY)
		printf(" unlimited");
	else
		printf(" %llu", (unsigned long long)amount);
}

static void print_namespaces(const char *title, uint64_t set)
{
	const char *const *names = nsi_namespace_names();
	bool any = false;

	printf("%-13s", title);
	for (size_t i = 0; names[i]; i++) {
		if (!(set & nsi_namespace_flag(names[i])))
			continue;
		printf(" %s", names[i]);
		any = true;
	}
	puts(any ? "" : " (none)");
}

static void print_user(const struct check_container *c)
{
	const struct nsi_confinement *who = &c->plan->confine;

	if (c->login) {
		printf("user:         %s\n", c->login->user.name);
		return;
	}
	printf("user:         ");
	print_text(c->spec->user[0] ? c->spec->user : "0");
	if (c->user_unknown) {
		puts(" (a name of the root directory, which is not known here)");
		return;
	}
	printf(" (uid %u, gid %u", (unsigned)who->uid, (unsigned)who->gid);
	for (int i = 0; i < who->n_groups; i++)
		printf("%s %u", i ? "" : ", groups", (unsigned)who->groups[i]);
	puts(")");
}

static void print_targets(const struct check_container *c, const char *title, enum nsi_op_kind kind)
{
	char targets[CHECK_MAX_TARGETS][258];
	int n = check_targets(c, kind, targets);

	printf("%-13s", title);
	for (int i = 0; i < n; i++) {
		putchar(' ');
		print_text(targets[i]);
	}
	puts(n ? "" : " (none)");
}

static void print_mounts(const struct check_container *c)
{
	struct check_mount m;

	for (int at = 0; check_next_mount(c, &at, &m);) {
		if (m.asked) {
			print_mount(m.asked);
			continue;
		}
		printf("mount:        %s %s", m.target, m.type);
		if (m.source)
			printf(" of %s", m.source);
		printf(" (%s%s%s%s%s%s)\n", m.attributes & MOUNT_ATTR_RDONLY ? "read-only" : "writable",
			m.attributes & MOUNT_ATTR_NOSUID ? ",nosuid" : "",
			m.attributes & MOUNT_ATTR_NODEV ? ",nodev" : "",
			m.attributes & MOUNT_ATTR_NOEXEC ? ",noexec" : "", m.options ? "," : "",
			m.options ? m.options : "");
	}
}

static void print_pair(const char *title, const char *name, const char *between, const char *value)
{
	printf("%-13s ", title);
	print_text(name);
	printf("%s", between);
	print_text(value);
	putchar('\n');
}

static void print_limits(const struct nsi_process_spec *p)
{
	for (int i = 0; i < p->limits.n; i++) {
		printf("rlimit:       %s", nsi_rlimit_names()[p->limits.list[i].resource]);
		print_amount(p->limits.list[i].soft);
		print_amount(p->limits.list[i].hard);
		putchar('\n');
	}
	if (p->limits.oom_given)
		printf("oom score:    %d\n", p->limits.oom_score_adj);
	for (int i = 0; i < p->n_sysctls; i++)
		print_pair("sysctl:", p->sysctls[i].name, " = ", p->sysctls[i].value);
}

static void print_resources(const char *title, const struct nsi_resources *res)
{
	char text[256];

	if (res->set)
		printf("%-13s %s\n", title, nsi_resources_text(res, text, sizeof(text)));
}

static void print_container(const struct check_container *c)
{
	const struct nsi_spec *spec = c->spec;
	const struct nsi_process_spec *p = &spec->process;
	uint64_t own = c->plan->confine.namespaces;

	printf("hostname:     %s\n", spec->hostname[0] ? spec->hostname : "(the host's)");
	if (p->domainname[0])
		printf("domainname:   %s\n", p->domainname);
	print_namespaces("namespaces:", own);
	print_namespaces("of the host:", ~own);
	print_user(c);
	print_capabilities("capabilities:", spec->capabilities);
	if (p->ambient)
		print_capabilities("ambient:", p->ambient);
	printf("no_new_privs: %s\n", p->no_new_privs ? "true" : "false");
	print_pair("seccomp:",
		p->seccomp_off          ? "off"
		: p->seccomp_profile[0] ? p->seccomp_profile
					: "default",
		"", "");
	print_pair("working_dir:", spec->working_dir, "", "");
	printf("root:         %s\n", spec->readonly_fs ? "read-only" : "writable");
	print_mounts(c);
	print_targets(c, "devices:", NSI_OP_DEVICE);
	print_targets(c, "masked:", NSI_OP_MASK);
	print_targets(c, "read-only:", NSI_OP_READONLY);
	print_network(spec);
	print_resources("resources:", &c->plan->resources);
	print_resources("a session:", &c->plan->session_resources);
	print_limits(p);
	if (p->timezone[0])
		printf("timezone:     %s\n", p->timezone);
	for (int i = 0; i < p->n_labels; i++)
		print_pair("label:", p->labels[i].name, "=", p->labels[i].value);
	for (size_t i = 0; spec->environment[i]; i++)
		print_pair("environment:", spec->environment[i], "", "");
}

/* ------------------------------------------------------------------ a root directory */

static void print_owner(const char *title, const struct stat *st)
{
	if (st->st_mode)
		printf("%-13s uid %u, gid %u, mode %04o\n", title, (unsigned)st->st_uid, (unsigned)st->st_gid,
			(unsigned)(st->st_mode & 07777));
}

static void print_tree(const struct check_tree *tree)
{
	static const char *const mapping[] = {"not tried", "not possible", "possible"};

	printf("directory:    %s\n", tree->path);
	print_owner("  owner:", &tree->dir);
	print_owner("  its file:", &tree->file);
	printf("  logins:     %s\n", tree->refusal[0] ? "would be refused" : "would take it");
	printf("  shell:      %s\n", tree->shell ? tree->shell : "none in /bin");
	printf("  passwd:     %s\n", tree->passwd ? "/etc/passwd" : "none");
	printf("  id mapping: %s\n", mapping[tree->idmap + 1]);
	printf("  to be made:");
	for (int i = 0; i < tree->n_missing; i++)
		printf(" %s", tree->missing[i]);
	puts(tree->n_missing ? "" : " nothing");
	if (tree->life == CHECK_LIVE)
		printf("  container:  lives, pid %d\n", (int)tree->pid);
	else
		printf("  container:  %s\n", tree->life == CHECK_STALE          ? "none, but a .nspid"
					     : tree->life == CHECK_LIFE_UNKNOWN ? "only root can tell"
										: "none");
}

/* ------------------------------------------------------------------ a policy */

static void print_names(const char *title, const char **names)
{
	if (!names)
		return;
	printf(" %s", title);
	for (int i = 0; names[i]; i++) {
		putchar(i ? ',' : ' ');
		print_text(names[i]);
	}
}

static void print_rule(const struct nsi_rule *rule)
{
	char size[32];

	printf("rule:         line %d:", rule->line);
	print_names("user", rule->users);
	print_names("group", rule->groups);
	if (rule->stay)
		puts(": stays on the host");
	else if (rule->deny)
		printf(": refused, \"%s\"\n", rule->deny);
	else
		printf(": %s%s%s%s%s%s%s%s, userns %s, home %s%s\n", rule->rootfs ? "rootfs " : "",
			rule->rootfs ? rule->rootfs : "", rule->rootfs && rule->image ? ", " : "",
			rule->image ? "image " : "", rule->image ? rule->image : "",
			rule->options.ephemeral ? ", changes in memory" : "",
			rule->options.size ? ", changes of at most " : "",
			rule->options.size ? nsi_size_text(rule->options.size, size, sizeof(size)) : "",
			rule->options.userns == NSI_USERNS_OFF ? "off" : "auto",
			rule->options.home == NSI_HOME_NONE ? "none" : "bind",
			rule->options.recording.tty ? ", record tty" : "");
}

static void print_rules(const struct check_rules *rules)
{
	const struct nsi_policy *policy = rules->policy;
	static const char *const modes[] = {"split", "join", "shell", "deny"};

	for (int i = 0; i < policy->n_rules; i++) {
		print_rule(rules->list[i].rule);
		if (!rules->list[i].loaded)
			continue;
		printf("container:    %s\n", rules->list[i].container.file);
		print_container(&rules->list[i].container);
		puts("");
	}
	printf("unmapped:     %s\n", policy->unmapped_denied ? "deny" : "host");
	for (int i = 0; i < policy->n_services; i++)
		printf("service:      %s = %s\n", policy->services[i].name, modes[policy->services[i].mode]);
}

/* ------------------------------------------------------------------ the whole */

static void print_warnings(const struct check_warnings *w)
{
	for (int i = 0; i < w->n; i++) {
		const struct check_warning *one = &w->list[i];

		printf("warning:      ");
		if (one->line)
			printf("line %d: ", one->line);
		printf("%s [%s]\n  remedy:     %s\n", one->message, one->code, one->remedy);
	}
}

void check_print_table(const struct check_report *report)
{
	if (report->tree)
		print_tree(report->tree);
	if (report->container)
		print_container(report->container);
	if (report->rules)
		print_rules(report->rules);
	if (report->warnings->n)
		puts("");
	print_warnings(report->warnings);
	printf("%s%s: no errors, %d warning%s\n", report->warnings->n ? "\n" : "", report->path,
		report->warnings->n, report->warnings->n == 1 ? "" : "s");
}
