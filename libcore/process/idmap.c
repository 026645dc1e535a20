#include "idmap.h"

#include "../act/mount.h"
#include "../act/ns.h"
#include "../base/cleanup.h"
#include "../base/compat.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ARGS = 2 + 3 * NSI_MAX_IDMAP + 1 };

static int run_helper(
	const char *program, pid_t pid, const struct nsi_idmap *map, int n, struct nsi_error *err)
{
	char text[MAX_ARGS][16], *argv[MAX_ARGS];
	char *const env[] = {NULL};
	int argc = 0, status = -1;

	argv[argc++] = (char *)(uintptr_t)program;
	snprintf(text[argc], sizeof(text[argc]), "%d", (int)pid);
	for (int i = 0; i < n; i++) {
		snprintf(text[2 + 3 * i], 16, "%u", map[i].inside);
		snprintf(text[3 + 3 * i], 16, "%u", map[i].outside);
		snprintf(text[4 + 3 * i], 16, "%u", map[i].count);
	}
	for (; argc < 2 + 3 * n; argc++)
		argv[argc] = text[argc];
	argv[argc] = NULL;
	pid_t helper = nsi_clone3(0, NULL);
	if (helper == 0) {
		execve(program, argv, env);
		_exit(127);
	}
	while (helper > 0 && waitpid(helper, &status, 0) < 0 && errno == EINTR)
		continue;
	if (helper < 0 || status != 0)
		return nsi_failf(
			err, EPERM, "mapping ids by", program, "see its message, and subuid(5)", "it failed");
	return 0;
}

int nsi_map_rootless(pid_t pid, const struct nsi_ids *ids, struct nsi_error *err)
{
	if (ids->n_uids == 1)
		return nsi_write_own_idmaps(pid, ids, err);
	int r = run_helper("/usr/bin/newuidmap", pid, ids->uids, ids->n_uids, err);
	return r < 0 ? r : run_helper("/usr/bin/newgidmap", pid, ids->gids, ids->n_gids, err);
}

static int open_mapped(pid_t holder, const struct nsi_ids *ids, int *ret_userns, struct nsi_error *err)
{
	char path[40];
	int r = nsi_write_idmaps(holder, ids, err);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)holder);
	*ret_userns = open(path, O_RDONLY | O_CLOEXEC);
	return *ret_userns < 0 ? nsi_fail(err, errno, "opening", path, NULL) : 0;
}

/* It ends with the other end of the pipe, and so with whoever has that, whatever becomes of them. */
_Noreturn static void hold(const int ends[2])
{
	char unused;

	close(ends[1]);
	while (read(ends[0], &unused, 1) < 0 && errno == EINTR)
		continue;
	_exit(0);
}

int nsi_make_mapping(const struct nsi_ids *ids, int *ret_userns, struct nsi_error *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return nsi_fail(err, errno, "making", "a pipe", NULL);
	pid_t holder = nsi_clone3(CLONE_NEWUSER, NULL);
	if (holder == 0)
		hold(ends);
	int r = holder < 0 ? nsi_fail(err, errno, "making", "a user namespace", NULL)
			   : open_mapped(holder, ids, ret_userns, err);
	close(ends[0]);
	close(ends[1]);
	while (holder > 0 && waitpid(holder, NULL, 0) < 0 && errno == EINTR)
		continue;
	return r;
}

int nsi_try_idmap(int dirfd, const char *shown, struct nsi_error *err)
{
	const struct nsi_ids ids = {
		.n_uids = 1, .n_gids = 1, .uids = {{0, 65536, 65536}}, .gids = {{0, 65536, 65536}}};
	cleanup_fd int userns = -1, tree = -1;
	int r = nsi_make_mapping(&ids, &userns, err);
	const struct nsi_clone how = {.userns = userns, .single = true};

	return r < 0 ? r : nsi_mount_clone(dirfd, shown, &how, &tree, err);
}
