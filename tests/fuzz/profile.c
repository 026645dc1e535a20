/* A seccomp profile, and the filters that follow from it. */
#include "fuzz.h"

#include "../../libcore/act/seccomp.h"

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
		nsi_profile_free(profile);
	}
	free(text);
	return 0;
}
