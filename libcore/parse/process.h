/* What container.json says of the processes of a container. Plain values. */
#ifndef NSINIT_PROCESS_SPEC_H
#define NSINIT_PROCESS_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NSI_MAX_RLIMITS = 16, NSI_MAX_SYSCTLS = 32, NSI_MAX_PATHS = 32, NSI_MAX_LABELS = 32 };

struct nsi_rlimit {
	int resource;        /* RLIMIT_* */
	uint64_t soft, hard; /* RLIM_INFINITY: unlimited */
};

/* Limits that the kernel lets only the host's root raise: set from outside. */
struct nsi_limits {
	int n;
	struct nsi_rlimit list[NSI_MAX_RLIMITS];
	bool oom_given;
	int oom_score_adj; /* proc(5), -1000..1000 */
};

struct nsi_sysctl {
	char name[128]; /* as it is given: "net.ipv4.ip_forward", or with '/' */
	char value[128];
};

struct nsi_path_list {
	bool given; /* in place of the defaults */
	int n;
	char list[NSI_MAX_PATHS][256]; /* absolute */
};

struct nsi_label {
	char name[64], value[256];
};

struct nsi_process_spec {
	struct nsi_limits limits;
	bool no_new_privs;
	bool seccomp_off;
	char seccomp_profile[256]; /* its path on the host; "": the default filter */
	uint64_t ambient;          /* capabilities, for users other than root */
	char domainname[65];       /* "": none */
	char timezone[64];         /* below /usr/share/zoneinfo; "": the image's */
	int n_sysctls, n_labels;
	struct nsi_sysctl sysctls[NSI_MAX_SYSCTLS];
	struct nsi_path_list masked, readonly;
	struct nsi_label labels[NSI_MAX_LABELS];
};

/* RLIMIT_* of "RLIMIT_NOFILE" or "NOFILE"; -1: there is none of that name. */
int nsi_rlimit_number(const char *name);

/* The names without "RLIMIT_", by number; NULL-terminated. */
const char *const *nsi_rlimit_names(void);

/* The file of a sysctl below /proc/sys: as sysctl(8), the first of '.' and '/' separates. */
bool nsi_sysctl_path(const char *name, char *buf, size_t size);

#endif
