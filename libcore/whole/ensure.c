#include "ensure.h"

#include "../base/cleanup.h"
#include "state.h"

#include <poll.h>

enum { ENDING_DEADLINE_MS = 10000 };

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
