/* System call filters, seccomp(2), on the calling process and all that it starts. They are never lifted. */
#ifndef NSINIT_SECCOMP_H
#define NSINIT_SECCOMP_H

#include "../decide/plan.h"
#include "../parse/seccomp_profile.h"

/*
 * Refuse the ioctls that put input into a terminal as if it had been typed there: TIOCSTI, and TIOCLINUX's
 * selection, ioctl_tty(2). For a process that takes the caller's terminal inside. Needs CAP_SYS_ADMIN;
 * set-uid programs keep working.
 */
int nsi_deny_terminal_input(struct nsi_error *err);

/*
 * Make the default filters of a container that keeps `capabilities`, at least as tight as those of container
 * engines: a call that is withheld gives EPERM, one that is newer than this list ENOSYS. Changes nothing of
 * the calling process; nsi_confine() loads them.
 */
int nsi_seccomp_compile(uint64_t capabilities, struct nsi_filter *ret, struct nsi_error *err);

/*
 * The same of a profile, for a container that keeps `capabilities`: a call that is newer than all that the
 * profile names gives ENOSYS where others give an error. Terminals stay guarded, whatever it says.
 */
int nsi_seccomp_compile_profile(const struct nsi_profile *profile, uint64_t capabilities,
	struct nsi_filter *ret, struct nsi_error *err);

/* The version of libseccomp, as text: what another one makes may differ. */
void nsi_seccomp_version(char *buf, size_t size);

#endif
