#include "filter.h"

#include "../../libcore/act/seccomp.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/io.h"

#include <fcntl.h>

/* On the host, and root's like the policy: what lies in a root directory could be changed from inside. */
static int load(const char *path, struct nsi_profile **ret, struct nsi_error *err)
{
	cleanup_fd int fd = -1;
	cleanup_free char *text = NULL;
	size_t len = 0;
	int r = nsi_open_trusted(path, O_RDONLY, &fd, NULL, err);

	if (r == 0)
		r = nsi_read_fd(fd, path, NSI_PROFILE_MAX_BYTES, &text, &len, err);
	return r < 0 ? r : nsi_profile_parse(path, text, len, ret, err);
}

int filter_make(const struct nsi_spec *spec, struct nsi_plan *plan, struct nsi_error *err)
{
	const char *path = spec->process.seccomp_profile;
	struct nsi_confinement *c = &plan->confine;
	struct nsi_profile *profile = NULL;

	if (!c->seccomp)
		return 0;
	if (!path[0])
		return nsi_seccomp_compile(c->capabilities, &c->filter, err);
	int r = load(path, &profile, err);
	if (r == 0)
		r = nsi_seccomp_compile_profile(profile, c->capabilities, &c->filter, err);
	nsi_profile_free(profile);
	return r < 0 ? nsi_error_reason(err, "spec") : 0;
}
