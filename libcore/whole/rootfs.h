/* Root directories of logins: where they lie, who owns them, and what they are made of. */
#ifndef NSINIT_ROOTFS_H
#define NSINIT_ROOTFS_H

#include "../decide/plan.h"

/*
 * The root directory for a login: root's (or, shifted, a subordinate range's), and below a directory that
 * keeps everybody else out. One that takes the changes to an image is made where it is missing.
 */
int nsi_rootfs_open(const struct nsi_decision *decision, int *ret_fd, struct nsi_error *err);

/* The image's directory, which is root's. */
int nsi_image_open(const struct nsi_decision *decision, int *ret_image, struct nsi_error *err);

/*
 * A view of the files as the container will find them, to be read before it exists. Makes the directories for
 * the changes in `rootfd`.
 */
int nsi_image_view(
	const struct nsi_decision *decision, int image, int rootfd, int *ret_view, struct nsi_error *err);

/* Refuse a login user whose uid or gid lies in the ranges that nsi_claim_range() gives to containers. */
int nsi_check_login_ids(const struct nsi_user *user, struct nsi_error *err);

/*
 * The range of ids that the directory belongs to, by its owner. Held until *ret_fd is closed; -EBUSY: another
 * live container has it.
 */
int nsi_claim_owned_range(
	int rootfd, const struct nsi_login *login, uint32_t *ret_first, int *ret_fd, struct nsi_error *err);

#endif
