/* container.json, and the plan that follows from it: for a command, and for a login. */
#include "fuzz.h"

#include "../../libcore/decide/plan.h"

static void plan(const struct nsi_spec *spec, const struct nsi_login *login)
{
	struct nsi_image image = {0};
	struct nsi_plan *made;
	struct nsi_error err = {0};

	if (nsi_plan_make(spec, login, &image, 0x70000000, &made, &err) == 0)
		nsi_plan_free(made);
	else if (err.code <= 0)
		abort(); /* a failure without an error */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct nsi_login login = {.user = {.name = "alice",
						       .uid = 1000,
						       .gid = 1000,
						       .home = "/home/alice",
						       .shell = "/bin/sh"},
		.decision = {.verdict = NSI_CONTAINER, .rootfs = "/srv/alice"}};
	char *text = fuzz_text(data, size);
	struct nsi_spec *spec;
	struct nsi_error err = {0};

	if (nsi_spec_parse("container.json", text, size, &spec, &err) == 0) {
		plan(spec, NULL);
		plan(spec, &login);
		nsi_spec_free(spec);
	} else if (err.code <= 0 || !err.cause[0]) {
		abort();
	}
	free(text);
	return 0;
}
