/*
 * The files of an image that a plan depends on. "USER", and the texts of passwd, group, hosts, nsswitch.conf
 * and the host's resolv.conf, each ended by a byte 1; an empty one is a file that does not exist.
 */
#include "fuzz.h"

#include "../../libcore/base/str.h"
#include "../../libcore/decide/plan.h"

static char *none_if_empty(char *text)
{
	return text && *text ? text : NULL;
}

static void plan(const struct nsi_spec *spec, const struct nsi_login *login, const struct nsi_image *image)
{
	struct nsi_plan *made;
	struct nsi_error err = {0};
	int r = nsi_plan_make(spec, login, image, 0x70000000, &made, &err);

	if (r < 0) {
		fuzz_check_error(r, &err);
		return;
	}
	for (int i = 0; i < made->n_ops; i++) /* what is written into files ends where it says */
		if (made->ops[i].kind == NSI_OP_FILE || made->ops[i].kind == NSI_OP_NOTE)
			fuzz_check(strlen(made->ops[i].source) < 1 << 20);
	nsi_plan_free(made);
}

/* The part of a command's plan that depends on the image. */
static void identity(const char *user, const struct nsi_image *image)
{
	struct nsi_confinement confine = {0};
	struct nsi_error err = {0};
	int r = nsi_resolve_identity(user, image, &confine, &err);

	if (r < 0)
		fuzz_check_error(r, &err);
	else
		fuzz_check(confine.n_groups >= 0 && confine.n_groups <= NSI_MAX_GROUPS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char text[] = "{\"namespaces\": [\"NEWNS\", \"NEWPID\"]}";
	static struct nsi_login login = {
		.user = {.name = "alice", .uid = 1000, .gid = 1000, .gecos = "A:B", .home = "/home/alice"},
		.decision = {.verdict = NSI_CONTAINER, .dns = NSI_DNS_HOST, .rootfs = "/srv/alice"}};
	static struct nsi_spec *spec;
	char *user = fuzz_text(data, size), *texts[5];

	if (!spec)
		fuzz_check(nsi_spec_parse("container.json", text, strlen(text), &spec, NULL) == 0);
	texts[0] = fuzz_cut(user, 1);
	for (size_t i = 1; i < 5; i++)
		texts[i] = fuzz_cut(texts[i - 1], 1);
	const struct nsi_image image = {.passwd = none_if_empty(texts[0]),
		.group = none_if_empty(texts[1]),
		.hosts = none_if_empty(texts[2]),
		.nsswitch = none_if_empty(texts[3]),
		.host_resolv_conf = none_if_empty(texts[4])};
	nsi_copy(login.user.shell, sizeof(login.user.shell), user[0] == '/' ? user : "/bin/sh");
	plan(spec, &login, &image);
	identity(user, &image);
	free(user);
	return 0;
}
