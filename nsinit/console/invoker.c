#include "invoker.h"

#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/str.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Of the audit: set once at login and kept by su and sudo. False: this process is of no login. */
static bool login_uid(uid_t *ret_uid)
{
	cleanup_fd int fd = open("/proc/self/loginuid", O_RDONLY | O_CLOEXEC);
	char text[16];
	unsigned long long uid;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return false;
	text[n] = '\0';
	if (!nsi_parse_number(text, 0, UINT32_MAX - 1, &uid))
		return false;
	*ret_uid = (uid_t)uid;
	return true;
}

bool invoker_name(char *name, size_t size)
{
	const char *sudo = getenv("SUDO_USER");
	uid_t uid;

	if (!sudo || !*sudo) {
		const struct passwd *pw = login_uid(&uid) ? getpwuid(uid) : NULL;

		sudo = pw ? pw->pw_name : NULL;
	}
	return sudo && strcmp(sudo, "root") != 0 && nsi_copy(name, size, sudo);
}

const char *invoker_text(char *buf, size_t size)
{
	const char *sudo = getenv("SUDO_USER");
	char login[16] = "none";
	uid_t uid;

	if (login_uid(&uid))
		snprintf(login, sizeof(login), "%u", (unsigned)uid);
	snprintf(buf, size, "sudo_user=%.64s loginuid=%s", sudo && *sudo ? sudo : "none", login);
	for (char *p = buf; *p; p++)
		if (*p <= ' ' && !(*p == ' ' && strncmp(p, " loginuid=", 10) == 0))
			*p = '?';
	return buf;
}
