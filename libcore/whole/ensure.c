#include "ensure.h"

#include "../base/cleanup.h"
#include "../base/io.h"
#include "state.h"

#include <fcntl.h>
#include <poll.h>

enum { ENDING_DEADLINE_MS = 10000 };

int nsi_rootfs_open(const char *path, int *ret_fd, struct nsi_error *err)
{
	bool private = false;
	cleanup_fd int fd = -1;
	int r = nsi_open_trusted(path, O_PATH | O_DIRECTORY, &fd, &private, err);

	if (r == 0 && !private)
		r = nsi_failf(err, EPERM, "checking", path, "chmod 0700 its parent directory",
			"no directory above it keeps other users out, who could run a set-uid file made "
			"inside");
	if (r < 0)
		return nsi_error_reason(err, "rootfs");
	*ret_fd = nsi_take_fd(&fd);
	return 0;
}

bool nsi_supervisor_gone(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED || r == -ECONNRESET || r == -EPIPE || r == -ESHUTDOWN;
}

int nsi_make_room(const char *id, int rootfd, struct nsi_error *err)
{
	struct nsi_state state;

	if (nsi_state_read(id, &state, NULL) < 0) {
		nsi_state_sweep(id, rootfd, NULL);
		return 0;
	}
	cleanup_fd int supervisor = nsi_open_process(state.supervisor, state.supervisor_start);
	if (supervisor >= 0) {
		struct pollfd ended = {.fd = supervisor, .events = POLLIN};

		if (poll(&ended, 1, ENDING_DEADLINE_MS) <= 0)
			return nsi_failf(err, EBUSY, "waiting for", "the container's ending supervisor",
				"kill it: its pid is in the log", "pid %d does not end",
				(int)state.supervisor);
	}
	nsi_state_sweep(id, rootfd, &state);
	return 0;
}
