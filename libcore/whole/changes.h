/* How large a user's changes to an image may grow: a project quota on the directory that takes them. */
#ifndef NSINIT_CHANGES_H
#define NSINIT_CHANGES_H

#include "../nsinit.h"

/* Above what administrators count up to. */
enum { NSI_PROJECT_BASE = 0x70000000, NSI_PROJECTS = 0x0fffffff };
/* A file for as many bytes: what mke2fs(8) makes room for. But so many at least. */
enum { NSI_BYTES_FOR_FILE = 16384, NSI_LEAST_FILES = 1024 };

/*
 * Give the directory a project of its own, which it keeps, so that it can be held to the size of the
 * decision. Until it is, one that is full already has no limits, so that a container can be made of it; and
 * where the decision has no size, it has none at all. Before anything is made in it. Where the file system
 * cannot do it: refused (reason "quota"), or with best_effort said in `note`, of `size` bytes.
 */
int nsi_changes_limit(
	const struct nsi_decision *decision, int rootfd, char *note, size_t size, struct nsi_error *err);

/* Hold it to its size: before anything of the container runs. */
int nsi_changes_hold(int rootfd, uint64_t size, struct nsi_error *err);

#endif
