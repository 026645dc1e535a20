/* A module to stand before (argument "on") and after ("off") the one whose calls are to fail; see inject.c.
 */
#include <security/pam_modules.h>
#include <string.h>
#include <unistd.h>

#include "mark.h"

static int mark(int argc, const char **argv)
{
	syscall(MARK_CALL, argc > 0 && strcmp(argv[0], "on") == 0 ? 1 : 0);
	return PAM_IGNORE;
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags, (void)argc, (void)argv;
	return PAM_IGNORE;
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags;
	return mark(argc, argv);
}

int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags;
	return mark(argc, argv);
}

int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags;
	return mark(argc, argv);
}
