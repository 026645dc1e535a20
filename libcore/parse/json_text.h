/*
 * Where things stand in a JSON text. json-c parses; but it keeps no positions and lets a later duplicate of a
 * key silently win. This walks a text that json-c has accepted, refuses duplicate keys and tells positions.
 */
#ifndef NSINIT_JSON_TEXT_H
#define NSINIT_JSON_TEXT_H

#include "../base/error.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Refuses duplicate keys, escapes in keys and NUL characters in strings. `text` must be valid JSON, nested no
 * deeper than 32.
 */
int nsi_json_check(const char *file, const char *text, struct nsi_error *err);

/* How much a text holds: keys and list entries, and the bytes of keys and strings as they are decoded. */
struct nsi_json_size {
	size_t entries, bytes;
	bool unsure; /* of the bytes: there are surrogates, which json-c may replace */
};

void nsi_json_size(const char *text, struct nsi_json_size *ret);

/*
 * Position of `key` of the object that `path` leads to ("" is the top level; "a/b", "list[2]"), or of entry
 * `index` of the list under that key where index >= 0. Zeroes when it is not there.
 */
void nsi_json_locate(
	const char *text, const char *path, const char *key, int index, int *ret_line, int *ret_column);

/* Line and column, counted from 1, of the byte at `offset`. */
void nsi_text_position(const char *text, size_t offset, int *ret_line, int *ret_column);

#endif
