/* An OCI image layout, as `skopeo copy docker://... oci:DIR:TAG` and `podman save --format oci-dir` write it.
 */
#ifndef NSINIT_OCI_H
#define NSINIT_OCI_H

#include "../../libcore/base/error.h"

/*
 * Unpack the image `name`, "DIR" or "DIR:TAG", into the empty directory `root`. *ret_config is the text of
 * its configuration, the caller's to free.
 */
int oci_unpack(const char *name, int root, char **ret_config, struct nsi_error *err);

#endif
