#include "changes.h"

#include "../act/quota.h"
#include "../base/cleanup.h"
#include "../base/error.h"
#include "state.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define LOCK NSI_RUN_DIR "/projects.lock"

static bool is_ours(uint32_t project)
{
	return project >= NSI_PROJECT_BASE && project < NSI_PROJECT_BASE + (uint32_t)NSI_PROJECTS;
}

static uint64_t files_for(uint64_t bytes)
{
	uint64_t files = bytes / NSI_BYTES_FOR_FILE;

	return files > NSI_LEAST_FILES ? files : NSI_LEAST_FILES;
}

/* Of a directory in `rootfd` ("." for itself); 0 where it hands none on, or does not exist. */
static int project_of(int rootfd, const char *name, uint32_t *ret)
{
	cleanup_fd int dir = openat(rootfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool handed_on;

	*ret = 0;
	if (dir < 0)
		return errno == ENOENT ? 0 : -errno;
	int r = nsi_project_get(dir, ret, &handed_on);
	if (r == 0 && !handed_on)
		*ret = 0;
	return r;
}

/* ------------------------------------------------------------------ a project for a directory */

/* The one of which it has the number already is in use: by its own files. */
static int find_unused(int dir, uint32_t *ret)
{
	struct stat st;

	if (fstat(dir, &st) < 0)
		return -errno;
	for (uint32_t i = 0; i < NSI_PROJECTS; i++) {
		uint32_t project = NSI_PROJECT_BASE + (uint32_t)(((uint64_t)st.st_ino + i) % NSI_PROJECTS);
		int r = nsi_quota_unused(dir, project);

		if (r > 0)
			*ret = project;
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return -EAGAIN;
}

/* Locked, until the directory itself is a file of the project. */
static int give_project(int dir, const struct nsi_decision *d, uint32_t *ret, const char **step)
{
	cleanup_fd int lock = open(LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	*step = "locking the projects for";
	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		return -errno;
	*step = "finding a project for";
	int r = find_unused(dir, ret);
	if (r < 0)
		return r;
	*step = "giving a project to";
	r = nsi_quota_set(dir, *ret, d->size, files_for(d->size));
	return r < 0 ? r : nsi_project_set(dir, *ret);
}

/* What was there before is of no project: it would not count, and could not be replaced (EXDEV). */
static int check_before(int dir, uint32_t project, const char *path, struct nsi_error *err)
{
	static const char *const names[] = {"upper", "work"};
	uint32_t found;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int r = project_of(dir, names[i], &found);

		if (r < 0)
			return nsi_fail(err, -r, "looking at the changes in", path, NULL);
		if (faccessat(dir, names[i], F_OK, AT_SYMLINK_NOFOLLOW) < 0 || (project && found == project))
			continue;
		nsi_failf(err, EBUSY, "limiting the size of", path,
			"move it away, let it be made anew, and copy \"upper\" into it with cp -a",
			"\"%s\" is there already, and not counted", names[i]);
		return nsi_error_reason(err, "quota");
	}
	return 0;
}

/* ------------------------------------------------------------------ the whole */

static int unlimited(const struct nsi_decision *d, int code, char *note, size_t size, struct nsi_error *err)
{
	if (d->best_effort) {
		snprintf(note, size, "size not limited: %s: %s", d->rootfs, strerrordesc_np(code));
		return 0;
	}
	nsi_failf(err, EOPNOTSUPP, "limiting the size of", d->rootfs,
		"ext4: tune2fs -O quota,project while it is not mounted, mount -o prjquota; xfs: mount -o "
		"prjquota; "
		"or leave \"size\" out, or say resources = \"best-effort\"",
		"its file system holds no project to a limit (%s)", strerrordesc_np(code));
	return nsi_error_reason(err, "quota");
}

/* One that the directory got from the one above it is another's. */
static int own_project(int dir, uint32_t *ret)
{
	uint32_t above;
	int r = project_of(dir, ".", ret);

	if (r == 0)
		r = project_of(dir, "..", &above);
	if (r == 0 && (!is_ours(*ret) || *ret == above))
		*ret = 0;
	return r;
}

int nsi_changes_limit(
	const struct nsi_decision *d, int rootfd, char *note, size_t size, struct nsi_error *err)
{
	cleanup_fd int dir = openat(rootfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *step = "limiting the size of";
	uint32_t project = 0;

	if (dir < 0)
		return nsi_fail(err, errno, "opening", d->rootfs, NULL);
	int r = own_project(dir, &project);
	if (!d->size) {
		if (r == 0 && project)
			nsi_quota_set(dir, project, 0, 0);
		return 0;
	}
	if (r == 0)
		r = nsi_quota_enforced(dir);
	if (r < 0)
		return unlimited(d, -r, note, size, err);
	r = check_before(dir, project, d->rootfs, err);
	if (r < 0)
		return r;
	/* What is made for the container must not fail for what its user has filled. */
	r = project ? nsi_quota_set(dir, project, 0, 0) : give_project(dir, d, &project, &step);
	return r < 0 ? nsi_error_reason(err, (nsi_fail(err, -r, step, d->rootfs, NULL), "quota")) : 0;
}

int nsi_changes_hold(int rootfd, uint64_t size, struct nsi_error *err)
{
	cleanup_fd int dir = openat(rootfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t project = 0;
	int r = dir < 0 ? -errno : own_project(dir, &project);

	if (r == 0)
		r = project ? nsi_quota_set(dir, project, size, files_for(size)) : -ENOENT;
	if (r == 0)
		return 0;
	nsi_fail(err, -r, "limiting the size of", "the changes", NULL);
	return nsi_error_reason(err, "quota");
}
