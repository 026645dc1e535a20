/* The image's passwd and group, and subuid. The first line is what is looked for. */
#include "fuzz.h"

#include "../../libcore/decide/plan.h"
#include "../../libcore/parse/accounts.h"

static void look_up(const char *word, char *text)
{
	struct nsi_image image = {.passwd = text, .group = text};
	struct nsi_confinement confine = {0};
	struct nsi_account account;
	struct nsi_error err = {0};
	uint32_t first, count;
	gid_t gid, gids[4];
	uid_t uid;

	if (nsi_passwd_find(text, word, 0, &account))
		fuzz_check(strcmp(account.name, word) == 0 && account.uid != (uid_t)-1);
	if (nsi_passwd_find(text, NULL, 1000, &account))
		fuzz_check(account.uid == 1000);
	nsi_group_find(text, word, 0, &gid);
	nsi_group_find(text, NULL, 1000, &gid);
	nsi_groups_of(text, word, gids, 4);
	if (nsi_subid_find(text, word, 1000, &first, &count))
		fuzz_check(count > 0 && (uint64_t)first + count <= UINT32_MAX);
	int r = nsi_resolve_user(word, &image, &uid, &gid, &err);
	if (r < 0)
		fuzz_check_error(r, &err);
	r = nsi_resolve_identity(word, &image, &confine, &err);
	if (r < 0)
		fuzz_check_error(r, &err);
	else
		fuzz_check(confine.uid != (uid_t)-1 && confine.gid != (gid_t)-1 && confine.n_groups >= 0 &&
			   confine.n_groups <= NSI_MAX_GROUPS);
}

static void map(const char *word, const char *text)
{
	struct nsi_ids ids;

	nsi_rootless_ids(text, text, word, 1000, 1000, &ids);
	fuzz_check(ids.n_uids > 0 && ids.n_uids <= NSI_MAX_IDMAP && ids.n_gids > 0 &&
		   ids.n_gids <= NSI_MAX_IDMAP);
	for (int i = 0; i < ids.n_uids; i++) {
		const struct nsi_idmap *m = &ids.uids[i];

		fuzz_check(m->count > 0 && (uint64_t)m->outside + m->count <= UINT32_MAX &&
			   (uint64_t)m->inside + m->count <= UINT32_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *word = fuzz_text(data, size), *text = fuzz_cut(word, '\n');

	if (text) {
		look_up(word, text);
		map(word, text);
	}
	free(word);
	return 0;
}
