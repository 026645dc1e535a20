/* Options that several subcommands have. */
#ifndef NSINIT_OPTIONS_H
#define NSINIT_OPTIONS_H

#include <stdbool.h>

struct options_common {
	const char *dir;    /* -C; NULL: not given */
	const char *signal; /* -s */
	const char *watch;  /* --watch; "" without a number of seconds, NULL: not given */
	bool json, all;     /* --json, --all */
	int rest;           /* index of the first argument that is no option */
};

/*
 * `letters` says which there are: 'C' for -C DIR, 'j' for --json, 'a' for --all, 's' for -s SIGNAL, 'w' for
 * --watch[=SECONDS]. False, with a message: something else was given, or more than `most` arguments.
 */
bool options_parse(int argc, char **argv, const char *letters, int most, struct options_common *ret);

#endif
