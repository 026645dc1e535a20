#include "lock.h"

#include "../act/mount.h"
#include "../act/ns.h"
#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/io.h"
#include "child.h"

#include <sys/socket.h>
#include <sys/wait.h>

/*
 * The kernel locks what is copied to a mount namespace of a less privileged user namespace, and a move is no
 * copy: so they are mounted in one namespace of ours, and copied to another.
 */
_Noreturn static void lock(int userns, const int trees[], int n, int sync)
{
	struct nsi_error err = {0};
	struct nsi_mounts_before unused;
	int tree;
	int r = nsi_private_mounts(&unused, &err);

	if (r == 0)
		r = nsi_mount_stage(trees, n, &err);
	if (r == 0)
		r = nsi_lesser_mounts(userns, &err);
	for (int i = 0; r == 0 && i < n; i++) {
		if (trees[i] < 0)
			continue;
		r = nsi_mount_unstage(i, &tree, &err);
		if (r == 0)
			nsi_sync_send(sync, NSI_SYNC_TREE, &tree, 1);
	}
	if (r < 0)
		nsi_child_fail(sync, &err);
	_exit(0);
}

int nsi_lock_trees(int userns, int trees[], int n, struct nsi_error *err)
{
	int pair[2], tree, r = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return nsi_fail(err, errno, "making", "a socket pair", NULL);
	pid_t pid = nsi_clone3(0, NULL);
	if (pid == 0)
		lock(userns, trees, n, pair[1]);
	close(pair[1]);
	if (pid < 0)
		r = nsi_fail(err, errno, "forking", "a process to lock mounts with", NULL);
	for (int i = 0; r == 0 && i < n; i++) {
		if (trees[i] < 0)
			continue;
		r = nsi_sync_expect(pair[0], NSI_SYNC_TREE, &tree, 1, err);
		if (r == 0) {
			close(trees[i]);
			trees[i] = tree;
		}
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	close(pair[0]);
	return r;
}
