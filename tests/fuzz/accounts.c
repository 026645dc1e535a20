/* The image's passwd and group, and subuid. The first line is what is looked for. */
#include "fuzz.h"

#include "../../libcore/decide/plan.h"
#include "../../libcore/parse/accounts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *word = fuzz_text(data, size);
	char *text = strchr(word, '\n');
	struct nsi_account account;
	struct nsi_error err = {0};
	uint32_t first, count;
	uid_t uid;
	gid_t gid;

	if (text) {
		*text++ = '\0';
		struct nsi_image image = {.passwd = text, .group = text};

		nsi_passwd_find(text, word, 0, &account);
		nsi_passwd_find(text, NULL, 1000, &account);
		nsi_group_find(text, word, 0, &gid);
		nsi_group_find(text, NULL, 1000, &gid);
		if (nsi_subid_find(text, word, 1000, &first, &count) && (uint64_t)first + count > UINT32_MAX)
			abort();
		if (nsi_resolve_user(word, &image, &uid, &gid, &err) < 0 && err.code <= 0)
			abort();
	}
	free(word);
	return 0;
}
