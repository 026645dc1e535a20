/* What container.json adds to the root directory. */
#ifndef NSINIT_MOUNTS_H
#define NSINIT_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>

enum nsi_mount_type {
	NSI_MOUNT_BIND,
	NSI_MOUNT_TMPFS,
	NSI_MOUNT_PROC,
	NSI_MOUNT_SYSFS,
	NSI_MOUNT_OVERLAY,
	NSI_MOUNT_MQUEUE,
};

enum { NSI_MAX_MOUNTS = 32, NSI_MAX_LOWER = 8 };

/* A plain value, which the plan copies. */
struct nsi_mount {
	enum nsi_mount_type type;
	unsigned attributes; /* MOUNT_ATTR_* */
	bool recursive;      /* bind: with what is mounted below */
	bool slave;          /* bind: what the host mounts there later arrives */
	bool idmap;          /* bind, overlay: the files show the container's ids */
	bool optional;       /* bind: nothing where there is no source */
	char target[256];    /* absolute, normal: no "//", "." or ".." */
	char source[1024];   /* bind: the same, on the host */
	char options[64];    /* tmpfs: "size=...,mode=..." */
	char lower[2048];    /* overlay: directories of the host, the upmost first, each ended by '\n' */
	char upper[1024];    /* overlay: "": read-only */
	char work[1024];
};

/* Copy an absolute path without "//" and a final '/'. False: not absolute, too long, or with "." or "..". */
bool nsi_normal_path(const char *path, char *out, size_t size);

/* Whether normal path `path` is `prefix` or below it. */
bool nsi_path_below(const char *path, const char *prefix);

/* Whether a tmpfs may have this size: digits with k, m or g. */
bool nsi_valid_size(const char *text);

#endif
