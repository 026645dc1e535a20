/* Sockets that unprivileged users may connect to, and who does. */
#include "../base/cleanup.h"
#include "../base/compat.h"
#include "control.h"
#include "state.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { CONNECT_DEADLINE_S = 10 };

static void address(const char *name, struct sockaddr_un *a)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	snprintf(a->sun_path, sizeof(a->sun_path), "%s/doors/%s", NSI_RUN_DIR, name);
}

int nsi_door_open(const char *name, uid_t uid, mode_t mode, int *ret_sock, struct nsi_error *err)
{
	cleanup_fd int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un a;

	address(name, &a);
	if (sock < 0)
		return nsi_fail(err, errno, "making", a.sun_path, NULL);
	unlink(a.sun_path);
	/* Nobody connects before it listens, and the directory is root's: the mode can follow. */
	if (bind(sock, (struct sockaddr *)&a, sizeof(a)) < 0 || chown(a.sun_path, uid, (gid_t)-1) < 0 ||
		chmod(a.sun_path, mode) < 0 || listen(sock, 128) < 0)
		return nsi_fail(err, errno, "listening on", a.sun_path, NULL);
	*ret_sock = nsi_take_fd(&sock);
	return 0;
}

void nsi_door_close(const char *name, int sock)
{
	struct sockaddr_un a;

	address(name, &a);
	close(sock);
	/* A later container of the same user may have put its own there: that one answers. */
	cleanup_fd int probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe >= 0 && connect(probe, (struct sockaddr *)&a, sizeof(a)) < 0 && errno == ECONNREFUSED)
		unlink(a.sun_path);
}

int nsi_door_connect(const char *name, int *ret_sock, struct nsi_error *err)
{
	cleanup_fd int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct timeval deadline = {.tv_sec = CONNECT_DEADLINE_S};
	struct sockaddr_un a;

	address(name, &a);
	if (sock < 0)
		return nsi_fail(err, errno, "making", "a socket", NULL);
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline));
	if (connect(sock, (struct sockaddr *)&a, sizeof(a)) < 0)
		return nsi_fail(err, errno, "connecting to", a.sun_path, NULL);
	*ret_sock = nsi_take_fd(&sock);
	return 0;
}

static bool same_namespace(pid_t pid, const char *name)
{
	char path[64];
	struct stat ours, theirs;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	if (stat(path, &ours) < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
	return stat(path, &theirs) == 0 && ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

int nsi_door_peer(int sock, uid_t *ret_uid, int *ret_pidfd, struct nsi_error *err)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return nsi_fail(err, errno, "asking for", "the peer's credentials", NULL);
	cleanup_fd int pidfd = nsi_peer_pidfd(sock);
	if (pidfd < 0)
		pidfd = nsi_pidfd_open(peer.pid); /* a kernel before 6.5 */
	if (pidfd < 0)
		return nsi_fail(err, errno, "opening", "the peer's process", NULL);
	if (!same_namespace(peer.pid, "pid") || !same_namespace(peer.pid, "user"))
		return nsi_failf(err, EPERM, "admitting", "a process", NULL,
			"it has ended or is no process of the host");
	/* Still there: what was read belongs to it and not to a successor of its number. */
	if (nsi_pidfd_send_signal(pidfd, 0) < 0)
		return nsi_fail(err, errno, "admitting", "a process", NULL);
	*ret_uid = peer.uid;
	*ret_pidfd = nsi_take_fd(&pidfd);
	return 0;
}
