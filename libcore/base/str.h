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

/* Copy with truncation treated as failure. */
bool nsi_copy(char *dst, size_t size, const char *src);

#endif
