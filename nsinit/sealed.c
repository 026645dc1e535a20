/*
 * Run from a copy of this program in memory. A container may execute /proc/self/exe of a process that enters
 * it, hold that file open, and without a user namespace its root could write to it once nobody runs it
 * (CVE-2019-5736).
 */
#include "../libcore/base/cleanup.h"
#include "../libcore/base/compat.h"
#include "../libcore/base/io.h"
#include "commands.h"

#include <sys/prctl.h>
#include <unistd.h>

static const char self[] = "/proc/self/exe";

int start_sealed(const char *path, char **argv, struct nsi_error *err)
{
	cleanup_fd int copy = -1;
	int r = nsi_sealed_copy(path, &copy, err);

	if (r < 0)
		return r;
	nsi_execveat(copy, argv, environ);
	return nsi_fail(err, errno, "executing the copy of", path, NULL);
}

int run_sealed(char **argv, struct nsi_error *err)
{
	cleanup_fd int running = open(self, O_RDONLY | O_CLOEXEC);

	if (running < 0)
		return nsi_fail(err, errno, "opening", self, "is /proc mounted?");
	int seals = fcntl(running, F_GET_SEALS);
	if (seals >= 0 && (seals & F_SEAL_WRITE)) {
		prctl(PR_SET_NAME, "nsinit"); /* executed by descriptor it is called by a number */
		return 0;
	}
	return start_sealed(self, argv, err);
}
