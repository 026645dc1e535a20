/* A seccomp profile, and the filters that follow from it. */
#include "fuzz.h"

#include "../../libcore/act/seccomp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct nsi_filter filter;
	char *text = fuzz_text(data, size);
	struct nsi_profile *profile;
	struct nsi_error err = {0};

	filter = (struct nsi_filter){0};
	if (nsi_profile_parse("profile.json", text, size, &profile, &err) == 0) {
		if (nsi_seccomp_compile_profile(profile, 0xa80425fb, &filter, &err) < 0 && err.code <= 0)
			abort(); /* a failure without an error */
		nsi_profile_free(profile);
	} else if (err.code <= 0 || !err.cause[0]) {
		abort();
	}
	free(text);
	return 0;
}
