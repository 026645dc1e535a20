/* JSON for programs, written as it is found. */
#ifndef NSINIT_EMIT_H
#define NSINIT_EMIT_H

#include <stdbool.h>
#include <stdio.h>

enum { EMIT_DEPTH = 8 };

/* All zero to begin with. */
struct emit {
	FILE *to; /* NULL: standard output */
	int depth;
	bool more[EMIT_DEPTH]; /* there is an entry before */
};

/* An object '{' or a list '['; `key` is NULL in a list and for the outmost. */
void emit_open(struct emit *e, const char *key, char bracket);
/* The last that was opened; the outmost one ends with a line end. */
void emit_close(struct emit *e, char bracket);

/*
 * The text is of anybody's making: what is no valid UTF-8 becomes U+FFFD, and all that is not printable ASCII
 * is escaped. NULL is null.
 */
void emit_text(struct emit *e, const char *key, const char *text);
/* The same, but "" is null as well. */
void emit_known(struct emit *e, const char *key, const char *text);
void emit_number(struct emit *e, const char *key, long long number);
/* With two digits behind the point. */
void emit_fraction(struct emit *e, const char *key, double number);
void emit_bool(struct emit *e, const char *key, bool value);
void emit_null(struct emit *e, const char *key);

#endif
