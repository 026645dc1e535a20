/* What the JSON files of an OCI image say. Of anybody's making: every part is checked. */
#ifndef NSINIT_OCI_JSON_H
#define NSINIT_OCI_JSON_H

#include "../../libcore/base/error.h"

#include <stdbool.h>

enum { OCI_MAX_LAYERS = 128, OCI_DIGEST = 64 + 1, OCI_TAG = 256 };

struct oci_manifest {
	char config[OCI_DIGEST]; /* sums of SHA-256, in hexadecimal digits */
	char layers[OCI_MAX_LAYERS][OCI_DIGEST];
	int n_layers;
};

/*
 * The manifest that an index names by the tag, or, with `tag` NULL, its only one; of several for one tag that
 * of this machine's architecture. *ret_index: it is another index.
 */
int oci_read_index(const char *text, const char *shown, const char *tag, char digest[OCI_DIGEST],
	bool *ret_index, struct nsi_error *err);

int oci_read_manifest(const char *text, const char *shown, struct oci_manifest *ret, struct nsi_error *err);

/*
 * A container.json: with the environment, the working directory and the user of the image's configuration, or
 * where `config` is NULL, with a PATH. `hostname` may be "". The text is the caller's to free; NULL: no
 * memory, or the configuration is no JSON object.
 */
char *oci_make_container(const char *config, const char *hostname);

#endif
