/* container.json, and the plan that follows from it: for a command, for a login, and without privilege. */
#include "fuzz.h"

#include "../../libcore/decide/plan.h"

static void plan(const struct nsi_spec *spec, const struct nsi_login *login, bool rootless)
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
	r = rootless ? nsi_plan_rootless(made, &ids, &err) : 0;
	if (r < 0)
		fuzz_check_error(r, &err);
	nsi_plan_free(made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct nsi_login login = {.user = {.name = "alice",
						 .uid = 1000,
						 .gid = 1000,
						 .home = "/home/alice",
						 .shell = "/bin/sh"},
		.decision = {.verdict = NSI_CONTAINER, .rootfs = "/srv/alice"}};
	char *text = fuzz_text(data, size);
	struct nsi_spec *spec;
	struct nsi_error err = {0};
	int r = nsi_spec_parse("container.json", text, size, &spec, &err);

	if (r == 0) {
		plan(spec, NULL, false);
		plan(spec, NULL, true);
		login.decision.clamp = false;
		plan(spec, &login, false);
		/* A rule that allows nothing. */
		login.decision.ceilings.capabilities_given = true;
		login.decision.ceilings.namespaces_given = true;
		login.decision.ceilings.sysctls_given = true;
		login.decision.clamp = true;
		plan(spec, &login, false);
		login.decision.ceilings = (struct nsi_ceilings){0};
		nsi_spec_free(spec);
	} else {
		fuzz_check_error(r, &err);
	}
	free(text);
	return 0;
}
