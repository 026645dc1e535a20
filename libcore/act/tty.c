#include "tty.h"

#include "../base/cleanup.h"
#include "../base/compat.h"

#include <sys/ioctl.h>
#include <termios.h>

int nsi_tty_master(int devpts, int *ret_master, unsigned *ret_number, struct nsi_error *err)
{
	/* Root inside may have mounted something on it. */
	cleanup_fd int master = nsi_openat2(
		devpts, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC, 0, RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
	int unlock = 0;

	if (master < 0)
		return nsi_fail(err, errno, "opening", "the container's ptmx", NULL);
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0 || ioctl(master, TIOCGPTN, ret_number) < 0)
		return nsi_fail(err, errno, "unlocking", "the pseudoterminal", NULL);
	*ret_master = nsi_take_fd(&master);
	return 0;
}

int nsi_tty_open(int devpts, unsigned uid, int *ret_master, int *ret_slave, struct nsi_error *err)
{
	cleanup_fd int master = -1;
	unsigned number;
	int r = nsi_tty_master(devpts, &master, &number, err);

	if (r < 0)
		return r;
	cleanup_fd int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return nsi_fail(err, errno, "opening", "the terminal side of the pseudoterminal", NULL);
	if (uid != 0 && (r = nsi_tty_give(slave, uid, err)) < 0)
		return r;
	*ret_master = nsi_take_fd(&master);
	*ret_slave = nsi_take_fd(&slave);
	return 0;
}

int nsi_tty_give(int slave, unsigned uid, struct nsi_error *err)
{
	return fchown(slave, uid, (gid_t)-1) < 0
		       ? nsi_fail(err, errno, "changing the owner of", "the pseudoterminal", NULL)
		       : 0;
}

int nsi_tty_raw(int fd, struct nsi_error *err)
{
	struct termios t;

	if (tcgetattr(fd, &t) < 0)
		return nsi_fail(err, errno, "asking for", "the terminal's modes", NULL);
	cfmakeraw(&t);
	return tcsetattr(fd, TCSANOW, &t) < 0 ? nsi_fail(err, errno, "setting", "the terminal's modes", NULL)
					      : 0;
}

bool nsi_has_terminal(void)
{
	if (isatty(0) || isatty(1) || isatty(2))
		return true;
	cleanup_fd int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	return fd >= 0 || errno != ENXIO;
}

void nsi_tty_size_of_ours(int master, int terminal)
{
	struct winsize size;

	for (int ours = 0; ours < 3; ours++)
		if (ioctl(ours, TIOCGWINSZ, &size) == 0) {
			ioctl(master, TIOCSWINSZ, &size);
			ioctl(terminal, TIOCSWINSZ, &size);
			return;
		}
}

int nsi_tty_control(int slave, struct nsi_error *err)
{
	if (ioctl(slave, TIOCSCTTY, 0) < 0)
		return nsi_fail(err, errno, "taking control of", "the terminal", NULL);
	return 0;
}
