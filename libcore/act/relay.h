/* Copying between what nsinit was given as input and output and what the command inside has. */
#ifndef NSINIT_RELAY_H
#define NSINIT_RELAY_H

#include "loop.h"

#include <stdbool.h>

struct relay;

/*
 * Decide on the command's three descriptors. With `tty` it gets a terminal, for which relay_terminal() is
 * called later. Otherwise pipes, sockets and /dev/null are passed as they are; anything else (a file, a
 * directory, a terminal) is a handle on the host that must not cross, and gets a pipe that is copied. NULL:
 * no memory or descriptors.
 */
struct relay *relay_new(struct loop *loop, bool tty);

/* The descriptors for the command. To be called once it has them: closes our copies of its pipe ends. */
const int *relay_stdio(const struct relay *relay);
void relay_started(struct relay *relay);

/* Take over the master of the command's terminal: raw mode outside, sizes and bytes passed on. */
void relay_terminal(struct relay *relay, int master);
void relay_resize(struct relay *relay);

/* The command has ended: copy what is still to be read, restore the terminal, free. */
void relay_finish(struct relay *relay);

#endif
