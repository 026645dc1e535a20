#include "disabled.h"

#include "../base/str.h"

#include <stdint.h>
#include <string.h>

/* The rest of the line after `word`, with *text moved to the next line; NULL when it does not start so. */
static char *take_line(char **text, const char *word)
{
	char *line = *text, *end = strchr(line, '\n');
	size_t len = strlen(word);

	if (!end || strncmp(line, word, len) != 0)
		return NULL;
	*end = '\0';
	*text = end + 1;
	return line + len;
}

bool nsi_disabled_until(char *text, const char *boot_id, unsigned long long *ret_until)
{
	const char *version = take_line(&text, "nsinit-disabled ");
	const char *of_boot = version ? take_line(&text, "boot ") : NULL;
	const char *until = of_boot ? take_line(&text, "until ") : NULL;
	const char *by = until ? take_line(&text, "by ") : NULL;
	return by && !*text && strcmp(version, "1") == 0 && boot_id[0] && strcmp(of_boot, boot_id) == 0 &&
	       nsi_parse_number(until, 1, UINT64_MAX, ret_until);
}
