#include "names.h"

#include "../base/compat.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static const char *const namespace_names[] = {
	"NEWNS", "NEWPID", "NEWIPC", "NEWUTS", "NEWNET", "NEWUSER", "NEWCGROUP", NULL};
static const uint64_t namespace_flags[] = {
	CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWNET, CLONE_NEWUSER, CLONE_NEWCGROUP};

static const char *const capability_names[] = {"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID",
	"KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST",
	"NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
	"SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
	"SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE",
	"MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE", NULL};

uint64_t nsi_namespace_flag(const char *name)
{
	for (size_t i = 0; namespace_names[i]; i++)
		if (strcmp(name, namespace_names[i]) == 0)
			return namespace_flags[i];
	return 0;
}

const char *const *nsi_namespace_names(void)
{
	return namespace_names;
}

int nsi_capability_number(const char *name)
{
	char libcap_name[64];
	cap_value_t value;

	if (strncmp(name, "CAP_", 4) == 0)
		name += 4;
	/* libcap also takes numbers and any case; the format takes names only. */
	if (!isupper((unsigned char)name[0]) || strlen(name) > 40)
		return -1;
	for (const char *p = name; *p; p++)
		if (!isupper((unsigned char)*p) && *p != '_')
			return -1;
	snprintf(libcap_name, sizeof(libcap_name), "cap_%s", name);
	return cap_from_name(libcap_name, &value) == 0 ? value : -1;
}

const char *const *nsi_capability_names(void)
{
	return capability_names;
}

uint64_t nsi_capability_base(void)
{
	static const cap_value_t base[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FSETID, CAP_FOWNER, CAP_MKNOD,
		CAP_NET_RAW, CAP_SETGID, CAP_SETUID, CAP_SETFCAP, CAP_SETPCAP, CAP_NET_BIND_SERVICE,
		CAP_SYS_CHROOT, CAP_KILL, CAP_AUDIT_WRITE};
	uint64_t mask = 0;

	for (size_t i = 0; i < sizeof(base) / sizeof(base[0]); i++)
		mask |= UINT64_C(1) << base[i];
	return mask;
}
