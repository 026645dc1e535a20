#include "shell.h"

#include <stdlib.h>
#include <string.h>

static bool named(const char *entry, const char *name)
{
	size_t n = strcspn(name, "=");

	return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

const char *env_get(char *const *env, const char *name)
{
	for (; *env; env++)
		if (named(*env, name))
			return *env + strlen(name) + 1;
	return NULL;
}

void env_remove(char **env, const char *name)
{
	char **to = env;

	for (; *env; env++)
		if (!named(*env, name))
			*to++ = *env;
	*to = NULL;
}

static size_t count(char *const *list)
{
	size_t n = 0;

	while (list[n])
		n++;
	return n;
}

static bool in(const char *entry, const char *const *names)
{
	for (; names && *names; names++)
		if (named(entry, *names))
			return true;
	return false;
}

/* `kept` are names that a change does not touch. The strings stay where they are. */
char **env_merge(char *const *env, char *const *changes, const char *const *kept)
{
	char **merged = calloc(count(env) + count(changes) + 1, sizeof(char *));
	size_t used = 0;

	if (!merged)
		return NULL;
	memcpy(merged, env, count(env) * sizeof(char *));
	for (; *changes; changes++) {
		if (in(*changes, kept))
			continue;
		env_remove(merged, *changes);
		used = count(merged);
		merged[used] = *changes;
	}
	return merged;
}
