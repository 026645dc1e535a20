#include "proc.h"

#include "../base/cleanup.h"
#include "../parse/proc.h"

#include <fcntl.h>
#include <stdio.h>

int nsi_pidfd_number(int pidfd, pid_t *ret_pid)
{
	char path[48], text[512];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -ESRCH;
	text[n] = '\0';
	return nsi_fdinfo_pid(text, ret_pid) ? 0 : -ESRCH;
}
