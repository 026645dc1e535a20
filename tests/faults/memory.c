/*
 * Linked into a program: one of its allocations fails, whichever library makes it.
 *
 * The file /tmp/fail-at has three words: the program's first argument ("-" for whatever it is), N, and "once"
 * or "on", when all that follow fail too. /tmp/allocations gets the number of allocations at the program's
 * end, and /tmp/failed is made when one has failed. A program that has memory_count() itself says when it is
 * counted.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"
#include "real.h"

static bool counting, goes_on, by_parts;
static long made, fail_at;

static void note(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd >= 0) {
		(void)!write(fd, text, strlen(text));
		close(fd);
	}
}

static void note_number(void)
{
	char text[32];

	counting = false;
	snprintf(text, sizeof(text), "%ld", made);
	note("/tmp/allocations", text);
}

/* A forked child goes on counting where its parent was. */
void memory_count(bool on)
{
	by_parts = true;
	counting = on;
	if (!on)
		note_number();
}

static bool fails(void)
{
	if (!counting)
		return false;
	made++;
	if (made != fail_at && !(goes_on && fail_at && made > fail_at))
		return false;
	if (made == fail_at) {
		counting = false; /* what follows here may allocate too */
		note("/tmp/failed", "");
		counting = true;
	}
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return fails() ? NULL : REAL(malloc)(size);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : REAL(calloc)(n, size);
}

void *realloc(void *p, size_t size)
{
	return fails() ? NULL : REAL(realloc)(p, size);
}

__attribute__((constructor)) static void begin(int argc, char **argv)
{
	char text[128] = "", name[64], how[16];
	int fd = open("/tmp/fail-at", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!read(fd, text, sizeof(text) - 1);
	close(fd);
	if (sscanf(text, "%63s %ld %15s", name, &fail_at, how) != 3)
		return;
	goes_on = strcmp(how, "on") == 0;
	counting = argc > 1 && strcmp(argv[1], name) == 0;
}

__attribute__((destructor)) static void end(void)
{
	if (made && !by_parts)
		note_number();
}
