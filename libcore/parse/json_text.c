#include "json_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 32, MAX_PATH_LEN = 256 };

struct target {
	const char *path, *key;
	int index;
	size_t offset; /* SIZE_MAX until found */
};

struct walk {
	const char *text;
	size_t at;
	char path[MAX_PATH_LEN]; /* of the value being walked: "network", "a/b" */
	struct target *target;
	struct nsi_json_size *size; /* NULL: not asked for */
	size_t fault;               /* offset of the fault, where there is one */
	const char *what;           /* NULL: none */
};

/* It calls itself for what is nested, up to MAX_DEPTH. */
/* NOLINTBEGIN(misc-no-recursion) */
static void walk_value(struct walk *w, int depth);

void nsi_text_position(const char *text, size_t offset, int *ret_line, int *ret_column)
{
	int line = 1, column = 1;

	for (size_t i = 0; i < offset && text[i]; i++) {
		if (text[i] == '\n') {
			line++;
			column = 1;
		} else {
			column++;
		}
	}
	*ret_line = line;
	*ret_column = column;
}

static void skip_space(struct walk *w)
{
	w->at += strspn(w->text + w->at, " \t\r\n");
}

static void fault(struct walk *w, size_t at, const char *what)
{
	if (!w->what) {
		w->fault = at;
		w->what = what;
	}
}

/* The number of the escape sequence "\uXXXX" at `at`; -1: it is none. */
static int escaped(const char *at)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	int code = 0;

	if (at[0] != '\\' || at[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		const char *digit = at[i] ? strchr(digits, at[i]) : NULL;

		if (!digit)
			return -1;
		int value = (int)(digit - digits);
		code = code * 16 + (value < 16 ? value : value - 6);
	}
	return code;
}

/* The character at `at`, an escape sequence or a byte. */
static void measure(struct nsi_json_size *size, const char *at)
{
	int code = escaped(at);

	size->bytes++;
	if (code < 0)
		return;
	size->bytes += (code >= 0x80) + (code >= 0x800);
	size->unsure |= code >= 0xd800 && code < 0xe000;
	/* Its four digits are walked over as bytes. */
	size->bytes -= 4;
}

/* From the opening quote to behind the closing one. */
static void walk_string(struct walk *w, bool is_key)
{
	for (w->at++; w->text[w->at] && w->text[w->at] != '"'; w->at++) {
		if (w->size)
			measure(w->size, w->text + w->at);
		if (w->text[w->at] != '\\')
			continue;
		if (is_key)
			fault(w, w->at, "a key contains an escape sequence");
		if (strncmp(w->text + w->at, "\\u0000", 6) == 0)
			fault(w, w->at, "a string contains a NUL character");
		if (w->text[w->at + 1])
			w->at++;
	}
	if (w->text[w->at])
		w->at++;
}

static bool same_span(const char *a, size_t na, const char *b, size_t nb)
{
	return na == nb && memcmp(a, b, na) == 0;
}

/* Whether the key text[key, key+len) stands already in the object that opened at `open`. */
static bool seen_before(const struct walk *w, size_t open, size_t key, size_t len)
{
	/* A target that is never met: the scan itself must not look for duplicates, or nesting makes it
	 * explode. */
	struct target none = {.path = "/", .key = "", .index = -1, .offset = SIZE_MAX};
	struct walk scan = {.text = w->text, .at = open + 1, .target = &none};

	for (;;) {
		skip_space(&scan);
		size_t start = scan.at + 1;
		if (start >= key || w->text[scan.at] != '"')
			return false;
		walk_string(&scan, false);
		if (same_span(w->text + start, scan.at - start - 1, w->text + key, len))
			return true;
		skip_space(&scan);
		scan.at++; /* ':' */
		walk_value(&scan, 0);
		skip_space(&scan);
		scan.at++; /* ',' */
	}
}

static void note(struct walk *w, size_t key, size_t len, int index, size_t offset)
{
	struct target *t = w->target;

	if (t && t->offset == SIZE_MAX && index == t->index && strcmp(w->path, t->path) == 0 &&
		same_span(t->key, strlen(t->key), w->text + key, len))
		t->offset = offset;
}

static void walk_list(struct walk *w, size_t key, size_t len, int depth)
{
	size_t outer = strlen(w->path);

	for (int index = 0;; index++) {
		w->at++; /* '[' or ',' */
		skip_space(w);
		if (w->text[w->at] == ']' || !w->text[w->at])
			break;
		note(w, key, len, index, w->at);
		if (w->size)
			w->size->entries++;
		if (len > 0 && outer + len + 16 < sizeof(w->path))
			snprintf(w->path + outer, sizeof(w->path) - outer, "%s%.*s[%d]", outer ? "/" : "",
				(int)len, w->text + key, index);
		walk_value(w, depth + 1);
		w->path[outer] = '\0';
		skip_space(w);
		if (w->text[w->at] != ',')
			break;
	}
	if (w->text[w->at])
		w->at++;
}

static void walk_member(struct walk *w, size_t open, int depth)
{
	size_t key = w->at + 1, outer = strlen(w->path);

	walk_string(w, true);
	size_t len = w->at - key - 1;
	if (w->target == NULL && seen_before(w, open, key, len))
		fault(w, key - 1, "the key stands here a second time");
	note(w, key, len, -1, key - 1);
	if (w->size)
		w->size->entries++;
	skip_space(w);
	w->at++; /* ':' */
	skip_space(w);
	if (w->text[w->at] == '[') {
		walk_list(w, key, len, depth);
	} else {
		if (outer + len + 2 < sizeof(w->path))
			snprintf(w->path + outer, sizeof(w->path) - outer, "%s%.*s", outer ? "/" : "",
				(int)len, w->text + key);
		walk_value(w, depth + 1);
		w->path[outer] = '\0';
	}
	skip_space(w);
}

static void walk_value(struct walk *w, int depth)
{
	skip_space(w);
	size_t open = w->at;
	char c = w->text[open];

	if (depth > MAX_DEPTH) {
		fault(w, open, "nested too deep");
		w->at += strlen(w->text + w->at);
	} else if (c == '"') {
		walk_string(w, false);
	} else if (c == '{') {
		do {
			w->at++; /* '{' or ',' */
			skip_space(w);
			if (w->text[w->at] != '"') {
				if (w->text[w->at] != '}') /* json-c takes single quotes here */
					fault(w, w->at, "a key must stand in double quotes");
				break;
			}
			walk_member(w, open, depth);
		} while (w->text[w->at] == ',');
		if (w->text[w->at])
			w->at++;
	} else if (c == '[') {
		walk_list(w, 0, 0, depth);
	} else {
		w->at += strcspn(w->text + w->at, ",]} \t\r\n");
	}
}

/* NOLINTEND(misc-no-recursion) */

int nsi_json_check(const char *file, const char *text, struct nsi_error *err)
{
	struct walk w = {.text = text};
	int line, column;

	walk_value(&w, 0);
	if (!w.what)
		return 0;
	nsi_text_position(text, w.fault, &line, &column);
	return nsi_fail_at(err, file, line, column, NULL, "%s", w.what);
}

void nsi_json_size(const char *text, struct nsi_json_size *ret)
{
	struct target none = {.path = "/", .key = "", .index = -1, .offset = SIZE_MAX};
	struct walk w = {.text = text, .target = &none, .size = ret};

	*ret = (struct nsi_json_size){0};
	walk_value(&w, 0);
}

void nsi_json_locate(
	const char *text, const char *path, const char *key, int index, int *ret_line, int *ret_column)
{
	struct target target = {.path = path, .key = key, .index = index, .offset = SIZE_MAX};
	struct walk w = {.text = text, .target = &target};

	*ret_line = *ret_column = 0;
	walk_value(&w, 0);
	if (target.offset != SIZE_MAX)
		nsi_text_position(text, target.offset, ret_line, ret_column);
}
