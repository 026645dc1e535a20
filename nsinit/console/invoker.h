/* Who runs nsinit as root: for the log, and for whom a new policy must not lock out. */
#ifndef NSINIT_INVOKER_H
#define NSINIT_INVOKER_H

#include <stdbool.h>
#include <stddef.h>

/* The administrator's name: what sudo says, or else the login uid's. False: it is root, or nobody can tell.
 */
bool invoker_name(char *name, size_t size);

/* For the log: "sudo_user=alice loginuid=1001", printable. Returns `buf`. */
const char *invoker_text(char *buf, size_t size);

#endif
