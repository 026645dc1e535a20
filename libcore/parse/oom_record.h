/* What the kernel writes into its log when it kills for lack of memory. */
#ifndef NSINIT_OOM_RECORD_H
#define NSINIT_OOM_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct nsi_oom_victim {
	char group[512]; /* path of its cgroup, as the kernel sees it */
	char name[16];   /* of its program; what is not printable or could pass for more, as '?' */
	pid_t pid;       /* in the host's pid namespace */
};

/* One record of /dev/kmsg, whoever wrote it. False: it says nothing of the kind. */
bool nsi_parse_oom_record(const char *record, struct nsi_oom_victim *ret);

#endif
