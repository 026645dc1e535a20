#include "guard.h"

#include "../libcore/nsinit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static atomic_int guards;
static atomic_bool covered;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool registered;

/* Between fork() and whatever the child goes on with: only what is async-signal-safe. */
static void guard_child(void)
{
	if (guards > 0 && nsi_setuid_suspend() < 0)
		_exit(REFUSED);
}

/* The C library forgets the handler when it unloads this module. */
static void register_guard(void)
{
	registered = pthread_atfork(NULL, NULL, guard_child) == 0;
}

bool guard_forks(void)
{
	if (pthread_once(&once, register_guard) != 0 || !registered)
		return false;
	guards++;
	return true;
}

void guard_lift(void)
{
	guards--;
}

void guard_end(void)
{
	guards = 0;
}

bool guard_take_terminals(void)
{
	return !atomic_exchange(&covered, true);
}

void guard_leave_terminals(void)
{
	covered = false;
}
