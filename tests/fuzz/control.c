/* What nsinit-shell takes from a socket that says it is the supervisor's. */
#include "fuzz.h"

#include "../../libcore/base/io.h"
#include "../../libcore/whole/control.h"

#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct nsi_reply reply;
	struct nsi_error err = {0};
	int pair[2], fds[NSI_MAX_FDS];
	char text[2048];

	if (size == 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return 0;
	if (send(pair[1], data, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size) {
		if (nsi_control_answer(pair[0], 0, &reply, fds, &err) < 0)
			nsi_error_text(&err, text, sizeof(text));
		else if (reply.env_len > NSI_ENV_BYTES)
			abort();
	}
	close(pair[0]);
	close(pair[1]);
	return 0;
}
