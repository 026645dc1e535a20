#include "pasta.h"

#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/io.h"
#include "helper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PASTA "/usr/bin/pasta"
#define TUN "/dev/net/tun"

enum { READY_DEADLINE_MS = 10000, TEXT_SIZE = 320 };

/*
 * Nothing of the host's comes in, and no port of the host's loopback is to be had inside, as pasta would have
 * it by itself. When it is ready it writes its pid; what it says before goes the same way.
 */
_Noreturn static void execute(const char *name, pid_t pid, int out)
{
	char target[16];
	const char *const argv[] = {PASTA, "--config-net", "--foreground", "--quiet", "--no-map-gw", "-t",
		"none", "-u", "none", "-T", "none", "-U", "none", "--ns-ifname", name, "--pid",
		"/proc/self/fd/1", target, NULL};

	snprintf(target, sizeof(target), "%d", (int)pid);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid(); /* what is typed at the command's terminal is not for it */
	nsi_become_helper(argv, out);
}

static int check_host(struct nsi_error *err)
{
	if (access(PASTA, X_OK) < 0)
		return nsi_fail(err, errno, "starting", PASTA,
			"install it (package passt), or use the \"type\" \"loopback\"");
	if (access(TUN, R_OK | W_OK) < 0)
		return nsi_fail(err, errno, "opening", TUN,
			"pasta needs it: modprobe tun, and chmod 0666, as udev has it");
	return 0;
}

/* Whether the last line is that of the pid. */
static bool is_ready(const char *text, pid_t pid)
{
	char line[16];
	size_t len = (size_t)snprintf(line, sizeof(line), "%d\n", (int)pid), all = strlen(text);

	return all >= len && strcmp(text + all - len, line) == 0 &&
	       (all == len || text[all - len - 1] == '\n');
}

static bool wait_ready(int out, pid_t pid, char text[TEXT_SIZE])
{
	struct pollfd p = {.fd = out, .events = POLLIN};
	size_t used = 0;

	text[0] = '\0';
	while (used < TEXT_SIZE - 1 && !is_ready(text, pid)) {
		int r = poll(&p, 1, READY_DEADLINE_MS);
		ssize_t n = r > 0 ? read(out, text + used, TEXT_SIZE - 1 - used) : 0;

		if ((r < 0 || n < 0) && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		used += (size_t)n;
		text[used] = '\0';
	}
	return is_ready(text, pid);
}

static int failed(char *text, struct nsi_error *err)
{
	size_t len = strlen(text);

	while (len && text[len - 1] == '\n')
		text[--len] = '\0';
	for (char *p = text; *p; p++)
		if (*p == '\n')
			*p = ';';
	nsi_failf(err, EIO, "connecting the network by", PASTA, NULL, "%s",
		len ? text : "it has ended without a word, or does not get ready");
	return nsi_error_reason(err, "network");
}

int nsi_pasta_start(const struct nsi_network *net, pid_t pid, struct nsi_pasta *ret, struct nsi_error *err)
{
	struct nsi_pasta pasta = {.pidfd = -1};
	char text[TEXT_SIZE];
	int ends[2] = {-1, -1}, r = check_host(err);

	if (r == 0 && pipe2(ends, O_CLOEXEC) < 0)
		r = nsi_fail(err, errno, "making", "a pipe", NULL);
	if (r < 0)
		return nsi_error_reason(err, "network");
	cleanup_fd int out = ends[0];
	pasta.pid = nsi_clone3(0, &pasta.pidfd);
	if (pasta.pid == 0)
		execute(net->interfaces[0].name, pid, ends[1]);
	close(ends[1]);
	if (pasta.pid < 0)
		return nsi_fail(err, errno, "forking", PASTA, NULL);
	if (!wait_ready(out, pasta.pid, text)) {
		nsi_pasta_end(&pasta);
		return failed(text, err);
	}
	*ret = pasta;
	return 0;
}

void nsi_pasta_end(struct nsi_pasta *pasta)
{
	if (pasta->pid <= 0)
		return;
	nsi_pidfd_send_signal(pasta->pidfd, SIGKILL);
	while (waitpid(pasta->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	close(pasta->pidfd);
	*pasta = (struct nsi_pasta){0};
}
