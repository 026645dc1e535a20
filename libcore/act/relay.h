/* Copying between what nsinit was given as input and output and what the command inside has. */
#ifndef NSINIT_RELAY_H
#define NSINIT_RELAY_H

#include "loop.h"

#include <stdbool.h>

struct relay;

enum relay_way {
	RELAY_TERMINAL, /* the command's new terminal, for which relay_terminal() is called later */
	RELAY_PASS,     /* what we have, as it is */
	RELAY_COPY,     /* a pipe, which is copied from or to what we have */
};

/*
 * Whether a descriptor can be given to the other side of a container's wall: a pipe, a socket or the null
 * device. A file, a directory or a terminal is a handle on the host.
 */
bool relay_may_cross(int fd);

/* Decide on the command's three descriptors. NULL: no memory or descriptors. */
struct relay *relay_new(struct loop *loop, const enum relay_way ways[3]);

/*
 * The descriptors for the command, -1 for its terminal. relay_started() is to be called once it has them: it
 * closes our copies of its pipe ends.
 */
const int *relay_stdio(const struct relay *relay);
void relay_started(struct relay *relay);

/* Take over the master of the command's terminal: raw mode outside, sizes and bytes passed on. */
void relay_terminal(struct relay *relay, int master);
void relay_resize(struct relay *relay);
/* We may have been brought to the foreground, where the modes are ours to set. */
void relay_continued(struct relay *relay);
/* The master that it will be is not the command's own: what comes of it may take a moment longer than the
 * command. */
void relay_recorded(struct relay *relay);
/* The terminal outside is gone: so is the one inside. */
void relay_hangup(struct relay *relay);

/* The command has ended: copy what is still to be read, restore the terminal, free. */
void relay_finish(struct relay *relay);

#endif
