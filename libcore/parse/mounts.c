#include "mounts.h"

#include <string.h>

bool nsi_normal_path(const char *path, char *out, size_t size)
{
	size_t used = 0;

	if (path[0] != '/' || size < 2 || strchr(path, '\n'))
		return false;
	for (path += strspn(path, "/"); *path; path += strspn(path, "/")) {
		size_t len = strcspn(path, "/");

		if ((len == 1 && path[0] == '.') || (len == 2 && path[0] == '.' && path[1] == '.') ||
			used + len + 2 > size)
			return false;
		out[used++] = '/';
		memcpy(out + used, path, len);
		used += len;
		path += len;
	}
	if (used == 0)
		out[used++] = '/';
	out[used] = '\0';
	return true;
}

bool nsi_path_below(const char *path, const char *prefix)
{
	size_t len = strlen(prefix);

	if (len == 1) /* "/" */
		return path[0] == '/';
	return strncmp(path, prefix, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

bool nsi_valid_size(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits > 0 && digits < 16 && text[0] != '0' &&
	       (text[digits] == '\0' || (strchr("kmgKMG", text[digits]) && !text[digits + 1]));
}
