#include "str.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool nsi_parse_number(
	const char *text, unsigned long long min, unsigned long long max, unsigned long long *ret_value)
{
	unsigned long long value = 0;

	if (!text || !*text)
		return false;
	for (; *text; text++) {
		unsigned digit = (unsigned)(*text - '0');

		if (digit > 9 || __builtin_mul_overflow(value, 10ULL, &value) ||
			__builtin_add_overflow(value, digit, &value))
			return false;
	}
	if (value < min || value > max)
		return false;
	*ret_value = value;
	return true;
}

/* At most five digits, and what follows them; NULL: there is none. */
static const char *short_number(const char *text, unsigned *ret)
{
	size_t len = strspn(text, "0123456789");
	unsigned value = 0;

	for (size_t i = 0; i < len && i < 6; i++)
		value = value * 10 + (unsigned)(text[i] - '0');
	if (len == 0 || len > 5 || value > 65535)
		return NULL;
	*ret = value;
	return text + len;
}

const char *nsi_parse_version(const char *text, unsigned *ret_version)
{
	unsigned major = 0, minor = 0;
	const char *point = short_number(text, &major);
	const char *rest = point && *point == '.' ? short_number(point + 1, &minor) : NULL;

	if (rest)
		*ret_version = major << 16 | minor;
	return rest;
}

/* Edit distance that treats two neighbouring letters in the wrong order as one mistake. */
static size_t distance(const char *a, const char *b)
{
	enum { MAX = 40 };
	size_t la = strlen(a), lb = strlen(b), d[MAX + 1][MAX + 1];

	if (la > MAX || lb > MAX)
		return MAX;
	for (size_t i = 0; i <= la; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= lb; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		for (size_t j = 1; j <= lb; j++) {
			size_t best = d[i - 1][j - 1] + (strncasecmp(&a[i - 1], &b[j - 1], 1) != 0);

			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return d[la][lb];
}

const char *nsi_nearest(const char *text, const char *const *names)
{
	const char *nearest = NULL;
	size_t best = strlen(text) / 2 + 1; /* further away than half its letters is no guess */

	for (; *names; names++) {
		size_t d = distance(text, *names);

		if (d < best) {
			best = d;
			nearest = *names;
		}
	}
	return nearest;
}

bool nsi_copy(char *dst, size_t size, const char *src)
{
	size_t len = strlen(src);

	if (len >= size)
		return false;
	memcpy(dst, src, len + 1);
	return true;
}
