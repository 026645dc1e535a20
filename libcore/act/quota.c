#include "quota.h"

#include "../base/compat.h"

#include <errno.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/quota.h>

int nsi_quota_enforced(int fd)
{
	struct fs_quota_statv state = {.qs_version = FS_QSTATV_VERSION1};

	if (nsi_quotactl_fd(fd, QCMD(Q_XGETQSTATV, PRJQUOTA), 0, &state) < 0)
		return -errno;
	return state.qs_flags & FS_QUOTA_PDQ_ENFD ? 0 : -ESRCH;
}

int nsi_quota_unused(int fd, uint32_t project)
{
	struct dqblk q = {0};

	if (nsi_quotactl_fd(fd, QCMD(Q_GETQUOTA, PRJQUOTA), project, &q) < 0)
		return errno == ENOENT ? 1 : -errno; /* xfs has no record of it yet */
	return !q.dqb_curspace && !q.dqb_curinodes && !q.dqb_bhardlimit && !q.dqb_ihardlimit &&
	       !q.dqb_bsoftlimit && !q.dqb_isoftlimit;
}

int nsi_quota_set(int fd, uint32_t project, uint64_t bytes, uint64_t files)
{
	struct dqblk q = {.dqb_valid = QIF_LIMITS,
		.dqb_bhardlimit = (bytes + 1023) / 1024, /* quotactl(2): in units of 1 KiB */
		.dqb_ihardlimit = files};

	return nsi_quotactl_fd(fd, QCMD(Q_SETQUOTA, PRJQUOTA), project, &q) < 0 ? -errno : 0;
}

int nsi_project_get(int dirfd, uint32_t *ret_project, bool *ret_handed_on)
{
	struct fsxattr attr;

	if (ioctl(dirfd, FS_IOC_FSGETXATTR, &attr) < 0)
		return -errno;
	*ret_project = attr.fsx_projid;
	*ret_handed_on = attr.fsx_xflags & FS_XFLAG_PROJINHERIT;
	return 0;
}

int nsi_project_set(int dirfd, uint32_t project)
{
	struct fsxattr attr;

	if (ioctl(dirfd, FS_IOC_FSGETXATTR, &attr) < 0)
		return -errno;
	attr.fsx_projid = project;
	attr.fsx_xflags |= FS_XFLAG_PROJINHERIT;
	return ioctl(dirfd, FS_IOC_FSSETXATTR, &attr) < 0 ? -errno : 0;
}
