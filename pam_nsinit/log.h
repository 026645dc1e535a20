/* What the module has to say, to the host's log. */
#ifndef NSINIT_MODULE_LOG_H
#define NSINIT_MODULE_LOG_H

#include <security/pam_modules.h>

/* As pam_syslog(3); to the journal, where there is one, so that it has fields. */
void module_log(pam_handle_t *pamh, int priority, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
