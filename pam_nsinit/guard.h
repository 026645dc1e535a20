/*
 * What the module changes of the process that it is loaded into. Global, as a process's forks and its mount
 * namespace are, and since the handlers of pthread_atfork(3) have no argument.
 */
#ifndef NSINIT_PAM_GUARD_H
#define NSINIT_PAM_GUARD_H

#include <stdbool.h>

/* What sshd's child ends with when it must not go on: the status that clients show for a refused login. */
enum { REFUSED = 254 };

/*
 * Keep what this process forks from becoming a user, until guard_lift() was called as often. Helpers that
 * other modules fork are children too: they regain the capability when they execute a program as root. False:
 * there is no memory.
 */
bool guard_forks(void);
void guard_lift(void);
/* In a child that is inside its container: what it forks is its user's business. */
void guard_end(void);

/*
 * One session at a time can have its terminals over those of the host: the mount namespaces of two could only
 * be left in the order in which they were made. False: another one has them.
 */
bool guard_take_terminals(void);
void guard_leave_terminals(void);

#endif
