/* Small text helpers: bounded numbers, nearest names. */
#ifndef NSINIT_STR_H
#define NSINIT_STR_H

#include <stdbool.h>
#include <stddef.h>

/* Decimal digits only (no sign, space, prefix), `min` <= value <= `max`. False: not such a number. */
bool nsi_parse_number(
	const char *text, unsigned long long min, unsigned long long max, unsigned long long *ret_value);

/* The name of `names` (NULL-terminated) that `text` most likely meant, or NULL if none is near. */
const char *nsi_nearest(const char *text, const char *const *names);

/* The two numbers, each at most 65535, that "6.1.0-18" begins with, as 6 << 16 | 1. Returns what follows
 * them, or NULL. */
const char *nsi_parse_version(const char *text, unsigned *ret_version);

/* Copy with truncation treated as failure. */
bool nsi_copy(char *dst, size_t size, const char *src);

/* From one array into another that is as large: it cannot be too long. */
#define nsi_copy_array(dst, src)                                                                             \
	do {                                                                                                 \
		_Static_assert(sizeof(dst) >= sizeof(src), "it could be too long");                          \
		nsi_copy(dst, sizeof(dst), src);                                                             \
	} while (0)

#endif
