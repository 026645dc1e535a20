#include "tty.h"

#include "../base/cleanup.h"
#include "../base/compat.h"

#include <sys/ioctl.h>
#include <termios.h>

int nsi_tty_open(int devpts, unsigned uid, int *ret_master, int *ret_slave, struct nsi_error *err)
{
	cleanup_fd int master = openat(devpts, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);
	int unlock = 0;

	if (master < 0)
		return nsi_fail(err, errno, "opening", "the container's ptmx", NULL);
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return nsi_fail(err, errno, "unlocking", "the pseudoterminal", NULL);
	cleanup_fd int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return nsi_fail(err, errno, "opening", "the terminal side of the pseudoterminal", NULL);
	if (uid != 0 && fchown(slave, uid, (gid_t)-1) < 0)
		return nsi_fail(err, errno, "changing the owner of", "the pseudoterminal", NULL);
	*ret_master = nsi_take_fd(&master);
	*ret_slave = nsi_take_fd(&slave);
	return 0;
}

int nsi_tty_control(int slave, struct nsi_error *err)
{
	if (ioctl(slave, TIOCSCTTY, 0) < 0)
		return nsi_fail(err, errno, "taking control of", "the terminal", NULL);
	return 0;
}
