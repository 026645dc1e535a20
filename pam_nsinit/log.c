#include "log.h"

#include "../libcore/base/log.h"

#include <errno.h>
#include <security/pam_ext.h>
#include <stdarg.h>
#include <stdio.h>

void module_log(pam_handle_t *pamh, int priority, const char *format, ...)
{
	const void *service = NULL;
	char text[4096], prefix[128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	pam_get_item(pamh, PAM_SERVICE, &service);
	snprintf(prefix, sizeof(prefix), "pam_nsinit(%s): ", service ? (const char *)service : "");
	if (!nsi_journal(program_invocation_short_name, priority, prefix, text))
		pam_syslog(pamh, priority, "%s", text);
}
