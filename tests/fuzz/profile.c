/*
 * A seccomp profile, and the filters that follow from it. Those of the library are counted here (by --wrap of
 * the linker): it loses memory of its own (lsan.supp).
 */
#include "fuzz.h"

#include "../../libcore/act/seccomp.h"

#include <seccomp.h>

static int filters;

scmp_filter_ctx __real_seccomp_init(uint32_t otherwise);
scmp_filter_ctx __wrap_seccomp_init(uint32_t otherwise);
scmp_filter_ctx __wrap_seccomp_init(uint32_t otherwise)
{
	scmp_filter_ctx filter = __real_seccomp_init(otherwise);

	filters += filter != NULL;
	return filter;
}

void __real_seccomp_release(scmp_filter_ctx filter);
void __wrap_seccomp_release(scmp_filter_ctx filter);
void __wrap_seccomp_release(scmp_filter_ctx filter)
{
	filters -= filter != NULL;
	__real_seccomp_release(filter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct nsi_filter filter;
	char *text = fuzz_text(data, size);
	struct nsi_profile *profile;
	struct nsi_error err = {0};
	int r = nsi_profile_parse("profile.json", text, size, &profile, &err);

	filter = (struct nsi_filter){0};
	if (r < 0) {
		fuzz_check_error(r, &err);
	} else {
		r = nsi_seccomp_compile_profile(profile, 0xa80425fb, &filter, &err);
		if (r < 0)
			fuzz_check_error(r, &err);
		else
			fuzz_check(filter.n[0] + filter.n[1] + filter.n[2] <= NSI_FILTER_MAX);
		fuzz_check(filters == 0);
		nsi_profile_free(profile);
	}
	free(text);
	return 0;
}
