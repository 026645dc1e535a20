/* What the fuzz targets share. Built with -fsanitize=fuzzer they explore; otherwise replay.c runs their
 * corpus. */
#ifndef NSINIT_FUZZ_H
#define NSINIT_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input as a C string of exactly its size, so that a read past the end is seen. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

#endif
