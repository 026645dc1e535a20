/* An auth module whose setcred works in the process that calls it first, and fails in any forked from it. */
#include <security/pam_modules.h>
#include <stdlib.h>
#include <unistd.h>

static void forget(pam_handle_t *pamh, void *data, int status)
{
	(void)pamh, (void)status;
	free(data);
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags, (void)argc, (void)argv;
	return PAM_SUCCESS;
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	const void *data = NULL;

	(void)flags, (void)argc, (void)argv;
	if (pam_get_data(pamh, "stop_first", &data) == PAM_SUCCESS)
		return *(const pid_t *)data == getpid() ? PAM_SUCCESS : PAM_CRED_ERR;
	pid_t *first = malloc(sizeof(*first));
	if (!first)
		return PAM_BUF_ERR;
	*first = getpid();
	return pam_set_data(pamh, "stop_first", first, forget);
}
