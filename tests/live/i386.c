/* A 64-bit program that makes calls of 32-bit x86: how the system call filter takes them, "name errno". */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { I386_GETPID = 20, I386_MOUNT = 21, I386_SOCKETCALL = 102 };

static void call(const char *name, int number, unsigned long a, unsigned long b)
{
	int result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(0), "S"(0), "D"(0)
			 : "memory", "cc", "r8", "r9", "r10", "r11");
	printf("%s %s\n", name, result < 0 ? strerrorname_np(-result) : "ok");
	fflush(stdout);
}

int main(void)
{
	unsigned *low =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (low == MAP_FAILED)
		return 1;
	low[0] = AF_ALG;
	low[1] = SOCK_SEQPACKET;
	call("getpid", I386_GETPID, 0, 0);
	call("mount", I386_MOUNT, 0, 0);
	call("alg", I386_SOCKETCALL, 1, (unsigned long)low);
	return 0;
}
