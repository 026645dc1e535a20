/* Inside the files that mount. */
#ifndef NSINIT_MOUNT_GROUND_H
#define NSINIT_MOUNT_GROUND_H

#include "mount.h"

/*
 * Every path into the tree is one that its owner may have prepared against us. It is resolved inside the
 * tree, never through a symbolic link, and the mount goes onto the descriptor that the resolution gave.
 */
#define STRICT (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS)
/* For files that the image may keep elsewhere in the tree, as /etc/resolv.conf often is. */
#define ALONG_LINKS (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)

/* A directory that something has been mounted on: what lies below is looked up in that mount, wherever the
 * directory has been moved meanwhile. */
struct mounted {
	const char *target;
	int fd;
	bool fresh; /* a new file system, in which nobody has left a symbolic link */
};

struct ground {
	int root; /* the attached tree */
	struct mounted mounted[NSI_MAX_OPS];
	int n_mounted;
	const int *trees; /* what the parent passed, by number; -1: nothing */
	int devpts;       /* once mounted */
	struct nsi_error *err;
};

int fail_target(struct ground *g, int code, const char *target);

/* Open directory `target`, making what is missing of it. */
int open_dir(struct ground *g, const char *target, int *ret_fd);

/* Open file `target`, making an empty one where there is none. `resolve` is STRICT or ALONG_LINKS. */
int open_file(struct ground *g, const char *target, uint64_t resolve, int *ret_fd);

/* -ENOENT without an error record where there is nothing. */
int open_existing(struct ground *g, const char *target, int *ret_fd);

int attach(struct ground *g, int mount_fd, int target_fd, const char *target);

/* The same, and what comes below a directory is looked up there; `target` must outlive `g`. */
int attach_dir(struct ground *g, int mount_fd, int target_fd, const char *target, bool fresh);

/* Where to resolve *target, which is moved on to the part that is left ("." for none of it). */
int ground_of(const struct ground *g, uint64_t resolve, const char **target);

void ground_end(struct ground *g);

/* A detached mount of a new file system; `options` are "key=value,key". 0 or -errno. */
int new_filesystem(const char *type, const char *options, unsigned attributes, int *ret_mount);

#endif
