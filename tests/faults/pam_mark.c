/* A module to stand before (argument "on") and after ("off") the one whose calls are to fail; see inject.c.
 */
#include <security/pam_modules.h>
#include <string.h>
#include <unistd.h>

#include "mark.h"
#include "memory.h"

/* Of memory.c, in a login whose allocations are to fail: those of other modules are not ours to answer for.
 */
#pragma weak memory_count

static int mark(int argc, const char **argv)
{
	bool on = argc > 0 && strcmp(argv[0], "on") == 0;

	syscall(MARK_CALL, on ? 1 : 0);
	if (memory_count)
		memory_count(on);
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
