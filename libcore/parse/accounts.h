/* passwd(5) and group(5) files of an image: hostile text, looked up by name or number. */
#ifndef NSINIT_ACCOUNTS_H
#define NSINIT_ACCOUNTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct nsi_account {
	char name[256];
	uid_t uid;
	gid_t gid;
	char home[1024];
	char shell[256];
};

/*
 * The first well-formed entry of passwd file `text` with that name or, where `name` is NULL, with that uid.
 * A malformed line is no entry.
 */
bool nsi_passwd_find(const char *text, const char *name, uid_t uid, struct nsi_account *ret);

/*
 * The first range of subuid(5) or subgid(5) text for user `name` (may be NULL) or number `uid`: at least one
 * id, all of them below 2^32 - 1.
 */
bool nsi_subid_find(const char *text, const char *name, uid_t uid, uint32_t *ret_first, uint32_t *ret_count);

/* The same for group(5): by name, or by number where `name` is NULL. */
bool nsi_group_find(const char *text, const char *name, gid_t gid, gid_t *ret_gid);

/* The gids of the groups that list `name` as a member, into `gids` the first `max`. How many there are. */
int nsi_groups_of(const char *text, const char *name, gid_t *gids, int max);

#endif
