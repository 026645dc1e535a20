/*
 * container.json, and the plan that follows from it: without privilege, for a login by a rule that limits
 * nothing or everything, and for logins by rules that allow some of what can be asked for.
 */
#include "fuzz.h"

#include "../../libcore/decide/network.h"
#include "../../libcore/decide/plan.h"
#include "../../libcore/parse/policy.h"

static const char policy_text[] =
	"version = 1; unmapped = \"deny\"; networks: ("
	" { bridge = \"b\"; address = [ \"10.77.0.1/24\", \"fd77::1/64\" ];"
	"   pool = [ \"10.77.0.0/24\", \"fd77::/64\" ]; nameservers = [ \"192.0.2.53\" ]; },"
	" { bridge = \"br0\"; } );"
	"defaults: { limits: { capabilities = [ \"CHOWN\", \"KILL\" ]; host_namespaces = [ \"NEWIPC\" ];"
	"  sysctl = [ \"net.ipv4.*\", \"kernel/shm*\" ]; devices = [ \"/dev/fuse\", \"/dev/net/*\" ];"
	"  mounts = [ \"/srv/share\" ]; memory = \"64M\"; swap = 0; cpu = \"50%\"; pids = 100;"
	"  host_network = true; }; };"
	"rules: ( { user = \"alice\"; rootfs = \"/srv/%u\"; },"
	"  { user = \"bob\"; rootfs = \"/srv/%u\"; limits: { clamp = true; }; } );";

struct logins {
	struct nsi_login any, strict, clamped;
};

static void decide(const struct nsi_policy *policy, struct nsi_login *login)
{
	fuzz_check(nsi_policy_decide(policy, &login->user, &login->decision, NULL) == 0 &&
		   login->decision.verdict == NSI_CONTAINER);
}

static struct logins *logins(void)
{
	static struct logins made = {.any = {.user = {.name = "alice",
						     .uid = 1000,
						     .gid = 1000,
						     .home = "/home/alice",
						     .shell = "/bin/sh"},
					     .decision = {.verdict = NSI_CONTAINER, .rootfs = "/srv/alice"}}};
	struct nsi_policy *policy;

	if (made.strict.user.uid)
		return &made;
	fuzz_check(nsi_policy_parse("nsinit.conf", policy_text, strlen(policy_text), &policy, NULL) == 0);
	made.strict.user = made.clamped.user = made.any.user;
	memcpy(made.clamped.user.name, "bob", sizeof("bob"));
	decide(policy, &made.strict);
	decide(policy, &made.clamped);
	nsi_policy_free(policy);
	return &made;
}

static void plan(const struct nsi_spec *spec, const struct nsi_login *login)
{
	const struct nsi_ids ids = {.n_uids = 1, .n_gids = 1, .uids = {{0, 1000, 1}}, .gids = {{0, 1000, 1}}};
	struct nsi_image image = {0};
	struct nsi_plan *made;
	struct nsi_error err = {0};
	int r = nsi_plan_make(spec, login, &image, 0x70000000, &made, &err);

	if (r < 0) {
		fuzz_check_error(r, &err);
		return;
	}
	fuzz_check(made->n_ops <= NSI_MAX_OPS && made->n_mounts <= NSI_MAX_MOUNTS);
	fuzz_check(memchr(made->limits_note, 0, sizeof(made->limits_note)) != NULL);
	r = login ? 0 : nsi_plan_rootless(made, &ids, &err);
	if (r < 0)
		fuzz_check_error(r, &err);
	nsi_plan_free(made);
}

/* As the supervisor of a login has it: first what the policy says of the bridges. */
static void plan_by_policy(struct nsi_spec *spec, const struct nsi_login *login)
{
	struct nsi_error err = {0};
	int r = nsi_network_decide(spec, &login->decision.network, true, false, &err);

	if (r < 0)
		fuzz_check_error(r, &err);
	for (int i = 0; i < spec->network.n_interfaces; i++)
		fuzz_check(spec->network.interfaces[i].n_gateways <= 2);
	plan(spec, login);
}

static void use(struct nsi_spec *spec)
{
	struct logins *who = logins();
	struct nsi_decision *d = &who->any.decision;

	plan(spec, NULL);
	d->clamp = false;
	plan(spec, &who->any);
	/* A rule that allows nothing. */
	d->ceilings.capabilities_given = d->ceilings.namespaces_given = d->ceilings.sysctls_given = true;
	d->clamp = true;
	plan(spec, &who->any);
	d->ceilings = (struct nsi_ceilings){0};
	plan(spec, &who->clamped);
	plan_by_policy(spec, &who->strict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct nsi_spec *spec;
	struct nsi_error err = {0};
	int r = nsi_spec_parse("container.json", text, size, &spec, &err);

	if (r == 0) {
		use(spec);
		nsi_spec_free(spec);
	} else {
		fuzz_check_error(r, &err);
	}
	free(text);
	return 0;
}
