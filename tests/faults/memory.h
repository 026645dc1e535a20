/* For a program with memory.c in it. */
#ifndef NSINIT_MEMORY_H
#define NSINIT_MEMORY_H

#include <stdbool.h>

/* Whether allocations are counted, and fail, from now on. */
void memory_count(bool on);

#endif
