/*
 * Unpacking archives that are not trusted. The host's tar does it, in a root of its own where there is
 * nothing but the directory, so that no name and no link in an archive leads elsewhere; it makes no device
 * nodes.
 */
#ifndef NSINIT_UNPACK_H
#define NSINIT_UNPACK_H

#include "../../libcore/base/error.h"

#include <stdbool.h>

enum { UNPACK_SHA256 = 64 + 1 };

struct unpack {
	int root;           /* the directory */
	int archive;        /* a regular file: tar, as it is or packed by gzip, xz, bzip2 or zstd */
	const char *shown;  /* its name */
	const char *what;   /* for the progress */
	const char *sha256; /* the sum that it has to have, in hexadecimal digits; NULL: any */
	bool layer;         /* of an OCI image: ".wh." entries take away what layers below have */
};

/* Entries below /dev, a container.json and a .nspid are left out. On failure part of it may be there. */
int unpack(const struct unpack *u, struct nsi_error *err);

/* The sum of a text. */
int sha256_of(const char *text, size_t len, char sum[UNPACK_SHA256], struct nsi_error *err);

#endif
