/* Programs of the host that run beside a container, for us. */
#ifndef NSINIT_HELPER_H
#define NSINIT_HELPER_H

/*
 * In a child: become the program argv[0], with no environment, no input, `out` for what it prints, the
 * default SIGPIPE, and no other signal held back. 127 where it cannot be run.
 */
_Noreturn void nsi_become_helper(const char *const argv[], int out);

#endif
