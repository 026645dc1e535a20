/*
 * What a new process inside says on its sync socket: whoever is root there may hold it by ptrace(2) and speak
 * in its place. The first byte is how this side waits; then records, each of a byte that says what
 * descriptors come with it, two bytes of length, and patches onto a record of the usual kind (see patch()).
 */
#include "fuzz.h"

#include "../../libcore/base/io.h"
#include "../../libcore/process/child.h"

#include <sys/socket.h>
#include <sys/syscall.h>

/* A child of this process, as the one that joins would be. It has ended and waits to be waited for, which
 * never comes: so it has a pid as long as this process lives, and cannot outlive it. */
static int child_pidfd(void)
{
	static int pidfd = -1;

	if (pidfd < 0) {
		pid_t pid = fork();

		fuzz_check(pid >= 0);
		if (pid == 0)
			_exit(0);
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		fuzz_check(pidfd >= 0);
	}
	return pidfd;
}

/* {offset, length, bytes}..., up to an offset of 0xffff. */
static void patch(struct fuzz_input *in, void *record, size_t size)
{
	for (;;) {
		unsigned at = fuzz_word(in);

		if (at >= size || !in->left)
			return;
		size_t len = fuzz_byte(in);
		fuzz_block(in, (uint8_t *)record + at, len > size - at ? size - at : len);
	}
}

static void speak(int sock, struct fuzz_input *in)
{
	union {
		struct nsi_sync_record record;
		uint8_t bytes[sizeof(struct nsi_sync_record) + 64];
	} said;
	int fds[NSI_MAX_FDS];
	unsigned how = fuzz_byte(in), kind = fuzz_byte(in), n = how & 15;
	size_t len = sizeof(said.record);

	memset(&said, 'x', sizeof(said));
	said.record.kind = (enum nsi_sync)(kind % 16);
	if (how & 64)
		len = fuzz_word(in) % sizeof(said);
	patch(in, &said, sizeof(said));
	for (unsigned i = 0; i < n && i < NSI_MAX_FDS; i++)
		fds[i] = (how & 32) && i == 0 ? child_pidfd() : STDERR_FILENO;
	nsi_send(sock, &said, len, fds, n > NSI_MAX_FDS ? NSI_MAX_FDS : (int)n);
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* As the parent of a process that joins. */
static void await_process(int sock)
{
	struct nsi_process p = {.pid = -1, .pidfd = -1, .sync = sock, .pty = -1, .devpts = -1};
	struct nsi_error err = {0};
	int r = nsi_process_ready(&p, &err);

	if (r == 0) {
		fuzz_check(p.pid > 0 && p.pidfd >= 0);
		r = nsi_process_go(&p, &err);
	}
	fuzz_check(r <= 0);
	if (r < 0)
		fuzz_check_error(r, &err);
	close_all((int[]){p.pidfd, p.sync, p.pty, p.devpts}, 4);
}

static void await_record(int sock, enum nsi_sync kind)
{
	struct nsi_error err = {0};
	int fds[2];
	int r = nsi_sync_expect(sock, kind, fds, 2, &err);

	if (r < 0)
		fuzz_check_error(r, &err);
	else
		close_all(fds, 2);
	fuzz_check(r <= 0);
	close(sock);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	unsigned how = fuzz_byte(&in);
	int pair[2];

	child_pidfd();
	uint64_t before = fuzz_open_fds();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return 0;
	for (int i = 0; i < 4 && in.left; i++)
		speak(pair[1], &in);
	shutdown(pair[1], SHUT_WR);
	if (how & 1)
		await_process(pair[0]);
	else
		await_record(pair[0], (enum nsi_sync)(how >> 1 & 7));
	close(pair[1]);
	fuzz_check(fuzz_open_fds() == before);
	return 0;
}
