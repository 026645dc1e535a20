#include "options.h"

#include "../commands.h"

#include <getopt.h>
#include <string.h>

bool options_parse(int argc, char **argv, const char *letters, int most, struct options_common *ret)
{
	static const struct option longs[] = {{"json", no_argument, NULL, 'j'},
		{"all", no_argument, NULL, 'a'}, {"watch", optional_argument, NULL, 'w'}, {0}};
	bool known = true;
	int c;

	*ret = (struct options_common){0};
	while (known && (c = getopt_long(argc, argv, "C:s:", longs, NULL)) != -1) {
		known = c != '?' && strchr(letters, c);
		if (c == 'C')
			ret->dir = optarg;
		else if (c == 's')
			ret->signal = optarg;
		else if (c == 'w')
			ret->watch = optarg ? optarg : "";
		else if (c == 'a')
			ret->all = true;
		else
			ret->json = true;
	}
	ret->rest = optind;
	if (known && argc - optind <= most)
		return true;
	print_usage(argv[0]);
	return false;
}
