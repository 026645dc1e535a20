#include "emit.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static FILE *out(const struct emit *e)
{
	return e->to ? e->to : stdout;
}

static void indent(const struct emit *e)
{
	putc('\n', out(e));
	for (int i = 0; i < e->depth; i++)
		fputs("  ", out(e));
}

/* The next code point; one that no UTF-8 has for what is none. */
static uint32_t next_code(const unsigned char **at)
{
	const unsigned char *p = *at;
	int more = *p < 0x80 ? 0 : *p >= 0xc2 && *p < 0xe0 ? 1 : *p >= 0xe0 && *p < 0xf0 ? 2 : 3;
	uint32_t code = *p & (more == 0 ? 0x7f : 0x3f >> more);

	*at = p + 1;
	if (*p >= 0x80 && (*p < 0xc2 || *p > 0xf4))
		return 0xfffd;
	for (int i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0xfffd;
		code = code << 6 | (p[i] & 0x3f);
	}
	if ((more == 2 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) ||
		(more == 3 && (code < 0x10000 || code > 0x10ffff)))
		return 0xfffd;
	*at = p + more + 1;
	return code;
}

static void quote(FILE *to, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	putc('"', to);
	while (*at) {
		uint32_t code = next_code(&at);

		if (code == '"' || code == '\\')
			fprintf(to, "\\%c", (char)code);
		else if (code >= 0x20 && code < 0x7f)
			putc((int)code, to);
		else if (code < 0x10000)
			fprintf(to, "\\u%04x", (unsigned)code);
		else
			fprintf(to, "\\u%04x\\u%04x", (unsigned)(0xd7c0 + (code >> 10)),
				(unsigned)(0xdc00 + (code & 0x3ff)));
	}
	putc('"', to);
}

static void begin(struct emit *e, const char *key)
{
	if (e->depth > 0) {
		if (e->more[e->depth - 1])
			putc(',', out(e));
		e->more[e->depth - 1] = true;
		indent(e);
	}
	if (key) {
		quote(out(e), key);
		fputs(": ", out(e));
	}
}

void emit_open(struct emit *e, const char *key, char bracket)
{
	begin(e, key);
	putc(bracket, out(e));
	if (e->depth < EMIT_DEPTH)
		e->more[e->depth++] = false;
}

void emit_close(struct emit *e, char bracket)
{
	bool any = e->more[--e->depth];

	if (any)
		indent(e);
	putc(bracket, out(e));
	if (e->depth == 0)
		putc('\n', out(e));
}

void emit_text(struct emit *e, const char *key, const char *text)
{
	if (!text)
		return emit_null(e, key);
	begin(e, key);
	quote(out(e), text);
}

void emit_known(struct emit *e, const char *key, const char *text)
{
	emit_text(e, key, text && text[0] ? text : NULL);
}

void emit_number(struct emit *e, const char *key, long long number)
{
	begin(e, key);
	fprintf(out(e), "%lld", number);
}

void emit_fraction(struct emit *e, const char *key, double number)
{
	begin(e, key);
	fprintf(out(e), "%.2f", number);
}

void emit_bool(struct emit *e, const char *key, bool value)
{
	begin(e, key);
	fputs(value ? "true" : "false", out(e));
}

void emit_null(struct emit *e, const char *key)
{
	begin(e, key);
	fputs("null", out(e));
}
