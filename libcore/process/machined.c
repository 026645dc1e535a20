#include "machined.h"

#include "../base/cleanup.h"
#include "../base/compat.h"
#include "helper.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUSCTL "/usr/bin/busctl"
#define MACHINE1 "org.freedesktop.machine1"
#define MANAGER "org.freedesktop.machine1.Manager"

enum { NAME_SIZE = 65, TEXT_SIZE = 320 };

/* CreateMachine: name, id (none), service, class, leader, root directory, properties of the scope. */
_Noreturn static void call(
	const char *name, const char *about, const char *leader, const char *rootfs, int said)
{
	const char *const argv[] = {BUSCTL, "--system", "--quiet", "--no-pager", "--timeout=30", "call",
		MACHINE1, "/org/freedesktop/machine1", MANAGER, "CreateMachine", "sayssusa(sv)", name, "0",
		"nsinit", "container", leader, rootfs, "1", "Description", "s", about, NULL};

	nsi_become_helper(argv, said);
}

int nsi_machined_begin(
	const char *id, const char *user, const char *rootfs, struct nsi_machined *ret, struct nsi_error *err)
{
	char name[NAME_SIZE], about[300], leader[16];
	struct nsi_machined m = {.pidfd = -1};
	int ends[2];

	snprintf(name, sizeof(name), "nsinit-%s", id);
	snprintf(about, sizeof(about), "Container of %s", user);
	snprintf(leader, sizeof(leader), "%d", (int)getpid());
	/* What it says fits into the pipe. */
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return nsi_fail(err, errno, "making", "a pipe", NULL);
	m.pid = nsi_clone3(0, &m.pidfd);
	if (m.pid == 0)
		call(name, about, leader, rootfs, ends[1]);
	int code = errno;
	close(ends[1]);
	m.said = ends[0];
	if (m.pid < 0) {
		close(m.said);
		return nsi_fail(err, code, "forking", BUSCTL, NULL);
	}
	*ret = m;
	return 0;
}

int nsi_machined_finish(struct nsi_machined *m, struct nsi_error *err)
{
	char text[TEXT_SIZE];
	int status = -1;

	if (m->pid <= 0)
		return 0;
	bool ended = waitpid(m->pid, &status, WNOHANG) == m->pid;
	if (!ended) {
		nsi_pidfd_send_signal(m->pidfd, SIGKILL);
		while (waitpid(m->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	ssize_t n = read(m->said, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	close(m->said);
	close(m->pidfd);
	*m = (struct nsi_machined){0};
	if (ended && status == 0)
		return 0;
	if (ended && WIFEXITED(status) && WEXITSTATUS(status) == 127)
		snprintf(text, sizeof(text), "%s cannot be run", BUSCTL);
	return nsi_failf(err, EIO, "registering at", MACHINE1,
		"install systemd-container, or do not say machined", "%s",
		text[0] ? text : "busctl has ended without a word");
}
