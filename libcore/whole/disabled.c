/* The file that lets every login onto the host for a while: written by root, believed only if it is whole. */
#include "../parse/disabled.h"
#include "../base/cleanup.h"
#include "../base/io.h"
#include "state.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define DISABLED_FILE NSI_RUN_DIR "/disabled"

enum { MAX_BYTES = 1024 };

/* Seconds since boot, suspended time included: setting the clock does not prolong anything. */
static unsigned long long seconds_since_boot(void)
{
	struct timespec t;

	return clock_gettime(CLOCK_BOOTTIME, &t) < 0 ? 0 : (unsigned long long)t.tv_sec;
}

int nsi_disable(unsigned seconds, const char *who, struct nsi_error *err)
{
	char boot[NSI_BOOT_ID_SIZE], text[MAX_BYTES];
	int r = nsi_run_dir(err);

	if (r < 0)
		return r;
	nsi_boot_id(boot);
	if (seconds == 0 || seconds > NSI_DISABLE_MAX || !boot[0])
		return nsi_fail(err, EINVAL, "writing", DISABLED_FILE, NULL);
	int len = snprintf(text, sizeof(text), "nsinit-disabled 1\nboot %s\nuntil %llu\nby %.200s\n", boot,
		seconds_since_boot() + seconds, who);
	unlink(DISABLED_FILE ".new");
	cleanup_fd int fd =
		open(DISABLED_FILE ".new", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return nsi_fail(err, errno, "creating", DISABLED_FILE ".new", NULL);
	r = fchmod(fd, 0600) < 0 ? -errno : nsi_write_full(fd, text, (size_t)len);
	if (r == 0 && rename(DISABLED_FILE ".new", DISABLED_FILE) < 0)
		r = -errno;
	if (r < 0)
		nsi_fail(err, -r, "writing", DISABLED_FILE, NULL);
	return r;
}

int nsi_enable(struct nsi_error *err)
{
	if (unlink(DISABLED_FILE) < 0)
		return nsi_fail(err, errno, "removing", DISABLED_FILE, NULL);
	return 0;
}

unsigned nsi_disabled_seconds(void)
{
	char boot[NSI_BOOT_ID_SIZE];
	cleanup_free char *text = NULL;
	cleanup_fd int fd = -1;
	unsigned long long until, now = seconds_since_boot();
	size_t len;

	if (nsi_open_trusted(DISABLED_FILE, O_RDONLY, &fd, NULL, NULL) < 0 ||
		nsi_read_fd(fd, DISABLED_FILE, MAX_BYTES, &text, &len, NULL) < 0)
		return 0;
	nsi_boot_id(boot);
	if (strlen(text) != len || !nsi_disabled_until(text, boot, &until))
		return 0;
	/* Longer than can be asked for: not ours. */
	if (now == 0 || until <= now || until - now > NSI_DISABLE_MAX)
		return 0;
	return (unsigned)(until - now);
}
