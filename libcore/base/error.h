/*
 * The error record: what failed, on what, why, and what to do about it.
 *
 * It is a plain value of fixed size, so that it needs no allocation, survives a fork, and crosses a socket
 * as one packet: a child reports exactly the record it would have returned.
 */
#ifndef NSINIT_ERROR_H
#define NSINIT_ERROR_H

#include "../nsinit.h"

#include <errno.h>
#include <stddef.h>

enum { NSI_MAX_ERRNO = 4095 }; /* the kernel has no larger one */

/*
 * Fill `err` (which may be NULL): "step" is the action in progress ("mounting"), "object" what it was
 * applied to, "hint" the remedy or NULL. The cause is the text of errno value `code` (> 0).
 * Returns -code, so that callers can write `return nsi_fail(...)`. Never returns 0.
 */
int nsi_fail(struct nsi_error *err, int code, const char *step, const char *object, const char *hint);

/* The same with a cause of our own; `cause` is a format. */
int nsi_failf(struct nsi_error *err, int code, const char *step, const char *object, const char *hint,
	const char *cause, ...) __attribute__((format(printf, 6, 7)));

/* As nsi_failf, for a fault in a text file: `line` and `column` count from 1; 0 means unknown. */
int nsi_fail_at(struct nsi_error *err, const char *file, int line, int column, const char *hint,
	const char *cause, ...) __attribute__((format(printf, 6, 7)));

/* Note the key that a record is about: `key`, or where index >= 0 entry `index` of it, in the object at
 * `path`.
 */
void nsi_error_key(struct nsi_error *err, const char *path, const char *key, int index);

/*
 * Make a record that another process has sent one of our own: texts that end and are printable, a code and a
 * status that mean failure. Returns -code.
 */
int nsi_error_accept(struct nsi_error *err);

/* Set the reason code of a record that is already filled. Returns its -code. */
int nsi_error_reason(struct nsi_error *err, const char *reason);

#endif
