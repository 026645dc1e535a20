/* A system call filter for which memory was lacking once is none: libseccomp would leave rules out without a
 * word. */
#include "../../libcore/act/seccomp.h"
#include "../faults/real.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SAME, REFUSED, ANOTHER, STEPS = 100, SECONDS = 1 };

static long made, fail_at;

static bool fails(void)
{
	if (++made != fail_at)
		return false;
	errno = ENOMEM;
	return true;
}

__attribute__((visibility("default"))) void *malloc(size_t size)
{
	return fails() ? NULL : REAL(malloc)(size);
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : REAL(calloc)(n, size);
}

__attribute__((visibility("default"))) void *realloc(void *p, size_t size)
{
	return fails() ? NULL : REAL(realloc)(p, size);
}

/* libseccomp may also look for what it has not got for ever, or free it twice: the process ends then. */
static int compiled_without(long n, const struct nsi_filter *whole)
{
	static struct nsi_filter filter;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		const struct rlimit limit = {SECONDS, SECONDS};

		setrlimit(RLIMIT_CPU, &limit);
		signal(SIGSEGV, SIG_DFL); /* cmocka would go on with the next test */
		close(2);
		made = 0;
		fail_at = n;
		int r = nsi_seccomp_compile(0, &filter, NULL);
		fail_at = 0;
		_exit(r < 0 ? REFUSED : memcmp(&filter, whole, sizeof(filter)) == 0 ? SAME : ANOTHER);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : REFUSED;
}

static void one_allocation_fails(void **state)
{
	static struct nsi_filter whole;
	int results[3] = {0};

	(void)state;
	made = 0;
	assert_int_equal(nsi_seccomp_compile(0, &whole, NULL), 0);
	long all = made;
	assert_true(all > STEPS);
	for (long n = 1; n <= all; n += all / STEPS) {
		int result = compiled_without(n, &whole);

		assert_in_range(result, SAME, ANOTHER);
		results[result]++;
	}
	assert_int_equal(results[ANOTHER], 0);
	assert_true(results[REFUSED] > STEPS / 2);
	assert_int_equal(compiled_without(all + 1, &whole), SAME);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(one_allocation_fails)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
