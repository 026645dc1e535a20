/* What people read on a terminal. */
#ifndef NSINIT_SHOW_H
#define NSINIT_SHOW_H

#include <stddef.h>

/* As it is, but '?' for what is not printable ASCII: it could be an order to the terminal, or a line of ours.
 */
void print_text(const char *text);
/* Each of the lines, "a\nb\n", so with a space before it. */
void print_words(const char *lines);
/* The same in place. */
void make_printable(char *text);

/* Bytes: "512", "1.5K", "64.0M". Returns `buf`, as those below do. */
const char *size_text(unsigned long long bytes, char *buf, size_t size);
/* Seconds, by the two largest units: "42s", "3m12s", "5h0m", "2d4h". */
const char *duration_text(long long seconds, char *buf, size_t size);
/* A point in time that was so many seconds ago: "2026-11-24 10:00:00", and for programs, in UTC,
 * "2026-11-24T10:00:00Z".
 */
const char *since_text(long long seconds, char *buf, size_t size);
const char *since_utc(long long seconds, char *buf, size_t size);

/* Columns of the terminal that is standard output; a large number where it is none. */
int terminal_columns(void);

#endif
