/*
 * Preloaded under valgrind, which answers system calls that it does not know with ENOSYS (Debian 12's: all of
 * the last years). These go to the kernel past it. None of them writes to the caller's memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <valgrind/valgrind.h>

struct call {
	long number, argument[6];
};

/* Runs on the real processor, where the thread's storage, errno in it, is valgrind's own. */
static long do_call(unsigned thread, const struct call *c)
{
	register long r10 __asm__("r10") = c->argument[3];
	register long r8 __asm__("r8") = c->argument[4];
	register long r9 __asm__("r9") = c->argument[5];
	long r;

	(void)thread;
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(c->number), "D"(c->argument[0]), "S"(c->argument[1]), "d"(c->argument[2]),
			 "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

static bool unknown(long number)
{
	static const long numbers[] = {SYS_pidfd_open, SYS_pidfd_send_signal, SYS_openat2, SYS_open_tree,
		SYS_move_mount, SYS_mount_setattr, SYS_seccomp};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (number == numbers[i])
			return true;
	return false;
}

/* The same for all others, by way of valgrind. */
static long known(const struct call *c)
{
	return do_call(0, c);
}

long syscall(long number, ...)
{
	struct call c = {.number = number};
	va_list ap;
	long r;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		c.argument[i] = va_arg(ap, long);
	va_end(ap);
	r = unknown(number) ? (long)VALGRIND_NON_SIMD_CALL1(do_call, &c) : known(&c);
	if (r < 0 && r >= -4095) {
		errno = (int)-r;
		return -1;
	}
	return r;
}
