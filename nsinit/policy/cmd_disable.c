/* nsinit disable: for a while every login is the host's. nsinit enable: not any more. */
#include "../../libcore/base/error.h"
#include "../../libcore/base/str.h"
#include "../commands.h"
#include "../console/invoker.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

/* "90s", "15m", "2h". False: not such a duration, or longer than is allowed. */
static bool parse_duration(const char *text, unsigned *ret_seconds)
{
	unsigned unit;
	char number[16];
	size_t len = strlen(text);
	unsigned long long n;

	if (len < 2 || len > sizeof(number))
		return false;
	switch (text[len - 1]) {
	case 's':
		unit = 1;
		break;
	case 'm':
		unit = 60;
		break;
	case 'h':
		unit = 3600;
		break;
	default:
		return false;
	}
	snprintf(number, sizeof(number), "%.*s", (int)len - 1, text);
	if (!nsi_parse_number(number, 1, NSI_DISABLE_MAX / unit, &n))
		return false;
	*ret_seconds = (unsigned)n * unit;
	return true;
}

static bool parse_options(int argc, char **argv, unsigned *ret_seconds)
{
	static const struct option longs[] = {{"for", required_argument, NULL, 'f'}, {0}};
	bool given = false;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c != 'f' || !parse_duration(optarg, ret_seconds))
			return false;
		given = true;
	}
	return given && optind == argc;
}

static int not_root(const char *command)
{
	struct nsi_error err;

	nsi_failf(&err, EPERM, "running", command, "run it as root", "it decides where logins land");
	return report(&err);
}

int cmd_disable(int argc, char **argv)
{
	struct nsi_error err = {0};
	unsigned seconds = 0;
	char who[160];

	if (!parse_options(argc, argv, &seconds)) {
		fputs("usage: nsinit disable --for DURATION   (90s, 15m, 2h; at most 24h)\n", stderr);
		return NSI_EXIT_FAILED;
	}
	if (geteuid() != 0)
		return not_root("nsinit disable");
	if (nsi_disable(seconds, invoker_text(who, sizeof(who)), &err) < 0)
		return report(&err);
	openlog("nsinit", LOG_PID, LOG_AUTHPRIV);
	syslog(LOG_WARNING, "disabled for %u s, every login is the host's: %s", seconds, who);
	printf("Every login is the host's for %u s. \"nsinit enable\" ends that.\n", seconds);
	return 0;
}

int cmd_enable(int argc, char **argv)
{
	struct nsi_error err = {0};
	char who[160];

	(void)argv;
	if (argc != 1) {
		fputs("usage: nsinit enable\n", stderr);
		return NSI_EXIT_FAILED;
	}
	if (geteuid() != 0)
		return not_root("nsinit enable");
	bool was = nsi_disabled_seconds() > 0;
	int r = nsi_enable(&err);
	if (r < 0 && r != -ENOENT)
		return report(&err);
	openlog("nsinit", LOG_PID, LOG_AUTHPRIV);
	syslog(LOG_NOTICE, "enabled: %s", invoker_text(who, sizeof(who)));
	puts(was ? "Logins are contained again, as the policy says." : "It was not disabled.");
	return 0;
}
