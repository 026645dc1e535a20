/* Users and their groups, beyond what nsinit.h has. */
#ifndef NSINIT_PEOPLE_H
#define NSINIT_PEOPLE_H

#include "../nsinit.h"

/* nsi_user_lookup() without the groups. */
int nsi_user_lookup_alone(const char *name, struct nsi_user *ret_user, struct nsi_error *err);

/*
 * The user once more, for an answer that must hold: with the descriptors and the memory at hand that name
 * services need, and with groups, in *ret_user and from now on in this process, that no nscd(8) answers for.
 * Later changes to nsswitch.conf then mean nothing to this process. May load NSS modules into it.
 * *ret_remote: whether services are asked for groups that know them of elsewhere.
 */
int nsi_user_afresh(
	const struct nsi_user *user, struct nsi_user *ret_user, bool *ret_remote, struct nsi_error *err);

/* 0 if there is such a group; otherwise an error. */
int nsi_group_known(const char *name, struct nsi_error *err);

#endif
