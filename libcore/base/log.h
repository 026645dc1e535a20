/* The host's log, for programs: the library says nothing by itself. Messages begin with words "name=value".
 */
#ifndef NSINIT_LOG_H
#define NSINIT_LOG_H

#include <stdbool.h>

/*
 * Hand a message of facility AUTHPRIV to journald, as `identifier` (SYSLOG_IDENTIFIER) and with a syslog(3)
 * priority. The words "name=value" that `message` begins with become fields NSINIT_NAME as well. `prefix`,
 * where it is not NULL, stands before it. False: nobody takes it, and syslog(3) is left. Does not wait.
 * Any user may. systemd's "Native Journal Protocol".
 */
bool nsi_journal(const char *identifier, int priority, const char *prefix, const char *message);

/* The same, or else syslog(3), to which openlog(3) has named the program. Cut at 4 KiB. */
void nsi_log(const char *identifier, int priority, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
