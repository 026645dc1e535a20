/* Names of process.h. Without json-c: nsinit-shell has this too. */
#include "process.h"

#include "../base/str.h"

#include <string.h>
#include <sys/resource.h>

static const char *const rlimit_names[] = {
	[RLIMIT_AS] = "AS",
	[RLIMIT_CORE] = "CORE",
	[RLIMIT_CPU] = "CPU",
	[RLIMIT_DATA] = "DATA",
	[RLIMIT_FSIZE] = "FSIZE",
	[RLIMIT_LOCKS] = "LOCKS",
	[RLIMIT_MEMLOCK] = "MEMLOCK",
	[RLIMIT_MSGQUEUE] = "MSGQUEUE",
	[RLIMIT_NICE] = "NICE",
	[RLIMIT_NOFILE] = "NOFILE",
	[RLIMIT_NPROC] = "NPROC",
	[RLIMIT_RSS] = "RSS",
	[RLIMIT_RTPRIO] = "RTPRIO",
	[RLIMIT_RTTIME] = "RTTIME",
	[RLIMIT_SIGPENDING] = "SIGPENDING",
	[RLIMIT_STACK] = "STACK",
	[RLIM_NLIMITS] = NULL,
};

const char *const *nsi_rlimit_names(void)
{
	return rlimit_names;
}

int nsi_rlimit_number(const char *name)
{
	if (strncmp(name, "RLIMIT_", 7) == 0)
		name += 7;
	for (int i = 0; rlimit_names[i]; i++)
		if (strcmp(name, rlimit_names[i]) == 0)
			return i;
	return -1;
}

bool nsi_sysctl_path(const char *name, char *buf, size_t size)
{
	const char *separator = strpbrk(name, "./");

	if (!nsi_copy(buf, size, name))
		return false;
	for (char *p = buf; separator && *separator == '.' && *p; p++) {
		if (*p == '.')
			*p = '/';
		else if (*p == '/')
			*p = '.'; /* as in "net.ipv4.conf.eth0/1.forwarding" */
	}
	return true;
}
