#include "show.h"

#include <stdio.h>

static int printable(char c)
{
	return c < 0x20 || c >= 0x7f ? '?' : c;
}

void print_text(const char *text)
{
	for (; *text; text++)
		putchar(printable(*text));
}

void make_printable(char *text)
{
	for (; *text; text++)
		*text = (char)printable(*text);
}
