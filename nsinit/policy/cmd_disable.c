/* nsinit disable: for a while every login is the host's. nsinit enable: not any more. */
#include "../../libcore/base/error.h"
#include "../../libcore/base/log.h"
#include "../../libcore/base/str.h"
#include "../commands.h"
#include "../console/emit.h"
#include "../console/invoker.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define WHAT "it decides where logins land"

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

static bool parse_options(int argc, char **argv, unsigned *ret_seconds, bool *ret_json)
{
	static const struct option longs[] = {
		{"for", required_argument, NULL, 'f'}, {"json", no_argument, NULL, 'j'}, {0}};
	bool given = false;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'f' && parse_duration(optarg, ret_seconds))
			given = true;
		else if (c == 'j')
			*ret_json = true;
		else
			return false;
	}
	return given == (strcmp(argv[0], "disable") == 0) && optind == argc;
}

/* For how many seconds logins are the host's from now on, and whether they were. */
static void tell_json(unsigned seconds, bool was)
{
	struct emit e = {0};

	emit_open(&e, NULL, '{');
	emit_number(&e, "disabled", seconds);
	emit_bool(&e, "was_disabled", was);
	emit_close(&e, '}');
}

int cmd_disable(int argc, char **argv)
{
	struct nsi_error err = {0};
	unsigned seconds = 0;
	bool json = false;
	char who[160];

	if (!parse_options(argc, argv, &seconds, &json)) {
		print_usage("disable");
		return NSI_EXIT_FAILED;
	}
	if (need_root("disable", WHAT) != 0)
		return NSI_EXIT_FAILED;
	bool was = nsi_disabled_seconds() > 0;
	if (nsi_disable(seconds, invoker_text(who, sizeof(who)), &err) < 0)
		return report(&err);
	openlog("nsinit", LOG_PID, LOG_AUTHPRIV);
	nsi_log("nsinit", LOG_WARNING, "disabled for %u s, every login is the host's: %s", seconds, who);
	if (json)
		tell_json(seconds, was);
	else
		printf("Every login is the host's for %u s. \"nsinit enable\" ends that.\n", seconds);
	return 0;
}

int cmd_enable(int argc, char **argv)
{
	struct nsi_error err = {0};
	unsigned unused;
	bool json = false;
	char who[160];

	if (!parse_options(argc, argv, &unused, &json)) {
		print_usage("enable");
		return NSI_EXIT_FAILED;
	}
	if (need_root("enable", WHAT) != 0)
		return NSI_EXIT_FAILED;
	bool was = nsi_disabled_seconds() > 0;
	int r = nsi_enable(&err);
	if (r < 0 && r != -ENOENT)
		return report(&err);
	openlog("nsinit", LOG_PID, LOG_AUTHPRIV);
	nsi_log("nsinit", LOG_NOTICE, "enabled: %s", invoker_text(who, sizeof(who)));
	if (json)
		tell_json(0, was);
	else
		puts(was ? "Logins are contained again, as the policy says." : "It was not disabled.");
	return 0;
}
