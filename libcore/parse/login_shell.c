#include "login_shell.h"

#include <string.h>

bool nsi_next_shell(const char **text, char *path, size_t size)
{
	while (**text) {
		const char *line = *text;
		size_t len = strcspn(line, "\n");

		*text += len + (line[len] == '\n');
		if (line[0] != '/' || len >= size)
			continue;
		memcpy(path, line, len);
		path[len] = '\0';
		return true;
	}
	return false;
}

bool nsi_sftp_words(char *command, char *words[], size_t max)
{
	char *save = NULL;
	size_t len = strlen(command), n = 0;

	if (strspn(command, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.,=+- ") != len)
		return false;
	for (char *w = strtok_r(command, " ", &save); w && n < max; w = strtok_r(NULL, " ", &save))
		words[n++] = w;
	if (n == 0 || n == max)
		return false;
	words[n] = NULL;
	const char *base = strrchr(words[0], '/');
	return strcmp(words[0], "internal-sftp") == 0 || (base && strcmp(base, "/sftp-server") == 0);
}
