/*
 * The command `nsinit`: executes the program of that name in the directory of private programs. For `exec` as
 * root from a sealed copy, which that program would otherwise make of itself and start once more, with all
 * its libraries (nsinit/sealed.c says why): this one is small and needs none. Where the container seems to
 * live, it is nsinit-enter that is executed, which needs hardly more, and becomes nsinit if there is more to
 * do.
 */
#include "../libcore/whole/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x10 /* Linux 6.3; older kernels refuse it */
#endif

extern char **environ;

enum { FAILED = 125 };

/* -1: the program itself finds out what is wrong, and says so. */
static int sealed_copy(const char *path)
{
	struct stat st;
	int from = open(path, O_RDONLY | O_CLOEXEC);
	int to = memfd_create("nsinit", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

	if (to < 0 && errno == EINVAL)
		to = memfd_create("nsinit", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (from < 0 || to < 0 || fstat(from, &st) < 0)
		return -1;
	for (off_t done = 0; done < st.st_size;) {
		ssize_t n = sendfile(to, from, NULL, (size_t)(st.st_size - done));

		if (n <= 0)
			return -1;
		done += n;
	}
	return fcntl(to, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 ? -1 : to;
}

/* The root directory of `exec`; NULL where there is an option that is not only for the command. */
static const char *directory(char **argument)
{
	const char *dir = ".";

	for (; *argument && **argument == '-'; argument++) {
		char option = (*argument)[1];

		if (strcmp(*argument, "--") == 0)
			return dir;
		if (!option || !strchr("CtTuwe", option) || (strchr("tT", option) && (*argument)[2]))
			return NULL;
		if (strchr("tT", option))
			continue;
		const char *value = (*argument)[2] ? *argument + 2 : *++argument;
		if (!value)
			return NULL;
		if (option == 'C')
			dir = value;
	}
	return dir;
}

/* As nsi_container_id() names it. It may be wrong: a container that was killed leaves its socket. */
static bool seems_to_live(const char *dir)
{
	char path[128];
	struct stat st;

	if (!dir || stat(dir, &st) < 0)
		return false;
	snprintf(path, sizeof(path), NSI_RUN_DIR "/%llx-%llx/control", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	return access(path, F_OK) == 0;
}

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "exec") == 0 && geteuid() == 0) {
		int copy = sealed_copy(seems_to_live(directory(argv + 2)) ? NSINIT_ENTER : NSINIT_PROGRAM);

		if (copy >= 0)
			fexecve(copy, argv, environ);
	}
	execv(NSINIT_PROGRAM, argv);
	dprintf(2, "nsinit: executing %s: %m: is nsinit installed completely?\n", NSINIT_PROGRAM);
	return FAILED;
}
