#include "proc.h"

#include "../base/cleanup.h"
#include "../base/compat.h"
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

int nsi_pidfd_dir(int pidfd, int *ret_dir, struct nsi_error *err)
{
	char path[32];
	pid_t pid;

	if (nsi_pidfd_number(pidfd, &pid) < 0)
		return nsi_fail(err, ESRCH, "looking up", "the process", NULL);
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	cleanup_fd int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* Alive after the opening: nobody else can have had the number then. */
	if (dir < 0 || nsi_pidfd_send_signal(pidfd, 0) < 0)
		return nsi_fail(err, errno, "looking up", "the process", NULL);
	*ret_dir = nsi_take_fd(&dir);
	return 0;
}
