/* The files of an image from which its accounts and name services are told. */
#ifndef NSINIT_IMAGE_H
#define NSINIT_IMAGE_H

#include "../../libcore/decide/plan.h"

/*
 * Read a file of the image; *ret stays NULL where it does not exist, is empty or no readable file. An error
 * is what the host lacks: memory, descriptors, a disk that can be read.
 */
int image_read(int rootfd, const char *path, char **ret, struct nsi_error *err);

/* Those that accounts and name services are made from; to be freed by image_free(), whatever is returned. */
int image_read_all(int view, struct nsi_image *image, struct nsi_error *err);
void image_free(struct nsi_image *image);

#endif
