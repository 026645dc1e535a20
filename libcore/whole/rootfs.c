#include "rootfs.h"

#include "../act/mount.h"
#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/io.h"
#include "state.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* ------------------------------------------------------------------ the directory */

/* The directory above `path`, and the last component of its name. */
static int open_parent(
	const char *path, int *ret_fd, char name[256], bool *ret_private, struct nsi_error *err)
{
	char above[PATH_MAX];
	struct stat st = {0};
	bool private = false;

	if (!nsi_normal_path(path, above, sizeof(above)) || strcmp(above, "/") == 0)
		return nsi_failf(err, EINVAL, "opening", path, NULL, "not an absolute path without \"..\"");
	char *slash = strrchr(above, '/');
	snprintf(name, 256, "%s", slash + 1);
	slash[slash == above] = '\0';
	cleanup_fd int fd = -1;
	int r = nsi_open_trusted(above, O_PATH | O_DIRECTORY, &fd, &private, err);
	if (r == 0 && fstat(fd, &st) < 0)
		r = nsi_fail(err, errno, "checking", above, NULL);
	if (r < 0)
		return r;
	*ret_private = private || (st.st_mode & 077) == 0;
	*ret_fd = nsi_take_fd(&fd);
	return 0;
}

static int make_user_dir(const char *path, struct nsi_error *err)
{
	cleanup_fd int above = -1;
	char name[256];
	bool private;
	int r = open_parent(path, &above, name, &private, err);

	if (r == 0 && mkdirat(above, name, 0700) < 0 && errno != EEXIST)
		r = nsi_fail(err, errno, "making directory", path, NULL);
	return r;
}

/* Its owner is checked when the range is claimed. */
static int open_shifted(const char *path, int *ret_fd, bool *ret_private, struct nsi_error *err)
{
	cleanup_fd int above = -1, fd = -1;
	struct stat st;
	char name[256];
	int r = open_parent(path, &above, name, ret_private, err);

	if (r < 0)
		return r;
	fd = openat(above, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return nsi_fail(err, errno, "opening", path, NULL);
	if (st.st_mode & 022)
		return nsi_failf(err, EPERM, "checking", path, "chmod go-w",
			"its mode %04o lets others than its owner write", (unsigned)(st.st_mode & 07777));
	*ret_fd = nsi_take_fd(&fd);
	return 0;
}

int nsi_rootfs_open(const struct nsi_decision *decision, int *ret_fd, struct nsi_error *err)
{
	const char *path = decision->rootfs;
	bool private = false;
	cleanup_fd int fd = -1;
	int r = decision->image[0] ? make_user_dir(path, err) : 0;

	if (r == 0 && decision->ownership == NSI_OWNERSHIP_SHIFTED)
		r = open_shifted(path, &fd, &private, err);
	else if (r == 0)
		r = nsi_open_trusted(path, O_PATH | O_DIRECTORY, &fd, &private, err);
	if (r == 0 && !private)
		r = nsi_failf(err, EPERM, "checking", path, "chmod 0700 its parent directory",
			"no directory above it keeps other users out, who could run a set-uid file made "
			"inside");
	if (r < 0)
		return nsi_error_reason(err, "rootfs");
	*ret_fd = nsi_take_fd(&fd);
	return 0;
}

/* ------------------------------------------------------------------ its ids */

static bool is_ours(uint32_t first, uint32_t end)
{
	return end > NSI_RANGE_BASE && first < NSI_RANGE_BASE + (uint32_t)NSI_RANGES * NSI_RANGE_SIZE;
}

int nsi_check_login_ids(const struct nsi_user *user, struct nsi_error *err)
{
	bool by_uid = is_ours(user->uid, user->uid + 1);

	if (!by_uid && !is_ours(user->gid, user->gid + 1))
		return 0;
	nsi_failf(err, EPERM, "mapping the ids of", user->name,
		"give users ids below 1879048192: with SSSD, ldap_idmap_range_max",
		"the %s %u is among the ids that nsinit gives to containers: root in another could have it",
		by_uid ? "uid" : "gid", (unsigned)(by_uid ? user->uid : user->gid));
	return nsi_error_reason(err, "user");
}

static int check_range(
	const struct stat *st, const char *path, const struct nsi_user *user, struct nsi_error *err)
{
	uint32_t first = st->st_uid, end = first + NSI_RANGE_SIZE;

	if (st->st_uid != st->st_gid)
		return nsi_failf(err, EPERM, "checking", path, "chown it to FIRST:FIRST",
			"its owner %u and group %u are not the first of one range", (unsigned)st->st_uid,
			(unsigned)st->st_gid);
	if (first < NSI_RANGE_SIZE || end < first)
		return nsi_failf(err, EPERM, "checking", path,
			"chown the tree to a range as subuid(5) has them, or leave out \"ownership\"",
			"it belongs to uid %u, which is not the first of a subordinate range",
			(unsigned)first);
	if (is_ours(first, end))
		return nsi_failf(err, EPERM, "checking", path, NULL,
			"the range from %u on is among those that nsinit gives to containers itself",
			(unsigned)first);
	if ((user->uid >= first && user->uid < end) || (user->gid >= first && user->gid < end))
		return nsi_failf(err, EPERM, "checking", path, NULL,
			"the range from %u on holds the login user's own id", (unsigned)first);
	return 0;
}

int nsi_claim_owned_range(
	int rootfd, const struct nsi_login *login, uint32_t *ret_first, int *ret_fd, struct nsi_error *err)
{
	char path[PATH_MAX], shown[PATH_MAX];
	struct stat st;

	nsi_fd_path(rootfd, shown, sizeof(shown));
	if (fstat(rootfd, &st) < 0)
		return nsi_fail(err, errno, "checking", shown, NULL);
	if (check_range(&st, shown, &login->user, err) < 0)
		return nsi_error_reason(err, "rootfs");
	snprintf(path, sizeof(path), "%s/ranges/at-%u", NSI_RUN_DIR, (unsigned)st.st_uid);
	cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return nsi_fail(err, errno, "opening", path, NULL);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		nsi_failf(err, EBUSY, "claiming", shown, "give each root directory a range of its own",
			"another live container has the ids from %u on", (unsigned)st.st_uid);
		return nsi_error_reason(err, "rootfs");
	}
	*ret_first = st.st_uid;
	*ret_fd = nsi_take_fd(&fd);
	return 0;
}

/* ------------------------------------------------------------------ images */

/* They become the container's "/": passable for everybody inside. */
static int make_changes_dir(int rootfd, const char *name, struct nsi_error *err)
{
	if (mkdirat(rootfd, name, 0755) == 0 && fchmodat(rootfd, name, 0755, 0) == 0)
		return 0;
	return errno == EEXIST ? 0 : nsi_fail(err, errno, "making directory", name, NULL);
}

int nsi_image_open(const struct nsi_decision *decision, int *ret_image, struct nsi_error *err)
{
	cleanup_fd int image = -1;
	char unused[NSI_ID_SIZE];
	int r = nsi_open_trusted(decision->image, O_PATH | O_DIRECTORY, &image, NULL, err);

	if (r == 0) /* not the host's own / */
		r = nsi_container_id(image, unused, err);
	if (r < 0)
		return nsi_error_reason(err, "rootfs");
	*ret_image = nsi_take_fd(&image);
	return 0;
}

/* What the container has changed over what the image holds. */
static int overlay_view(int image, int rootfd, const char *shown, int *ret_view, struct nsi_error *err)
{
	struct nsi_layers layers = {
		.changes = -1, .attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, .shown = shown};
	int r = make_changes_dir(rootfd, "upper", err);

	if (r == 0)
		r = make_changes_dir(rootfd, "work", err);
	if (r < 0)
		return r;
	cleanup_fd int upper = nsi_openat2(rootfd, "upper", O_PATH | O_DIRECTORY | O_CLOEXEC, 0,
		RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
	if (upper < 0)
		return nsi_fail(err, errno, "opening", "the directory of the user's changes", NULL);
	layers.lower[0] = upper;
	layers.lower[1] = image;
	layers.n_lower = 2;
	return nsi_mount_overlay(&layers, ret_view, err);
}

int nsi_image_view(
	const struct nsi_decision *decision, int image, int rootfd, int *ret_view, struct nsi_error *err)
{
	int r = 0, view = -1;

	if (decision->ephemeral && (view = fcntl(image, F_DUPFD_CLOEXEC, 3)) < 0)
		r = nsi_fail(err, errno, "opening", decision->image, NULL);
	else if (!decision->ephemeral)
		r = overlay_view(image, rootfd, decision->image, &view, err);
	if (r < 0)
		return nsi_error_reason(err, "rootfs");
	*ret_view = view;
	return 0;
}
