/* Files and sockets with the checks that a privileged reader owes its caller. */
#ifndef NSINIT_IO_H
#define NSINIT_IO_H

#include "error.h"

#include <stdbool.h>
#include <sys/types.h>

/*
 * Open `path` (absolute) component by component: each directory and the last component must belong to root
 * and be writable by nobody else, and none may be a symbolic link. Each check is made on the descriptor that
 * the next step starts from, so nothing can be exchanged in between. `flags` are those of openat(2) for the
 * last component (O_RDONLY, which takes a regular file only, or O_PATH | O_DIRECTORY). `ret_private` (may be
 * NULL): whether an ancestor directory keeps everybody but root out.
 */
int nsi_open_trusted(const char *path, int flags, int *ret_fd, bool *ret_private, struct nsi_error *err);

/* Whether the open file alone belongs to root and is writable by nobody else, wherever it lies: 0 or -EPERM.
 */
int nsi_check_trusted(int fd, const char *shown, struct nsi_error *err);

/*
 * Read a regular file of at most `max` bytes. *ret_text is NUL-terminated and the caller's to free; its
 * length is in *ret_len. -EFBIG when it is larger, -EINVAL when it is no regular file.
 */
int nsi_read_fd(
	int fd, const char *name, size_t max, char **ret_text, size_t *ret_len, struct nsi_error *err);

/*
 * Open a regular file to be read, for `path` below the rootfs directory `rootfd`, which the container
 * controls: the path cannot leave it, and nothing else is opened, not even for a moment. -ENOENT, with `err`
 * filled, when it does not exist.
 */
int nsi_open_in_root(int rootfd, const char *path, const char *shown, int *ret_fd, struct nsi_error *err);

/* The same, and nsi_read_fd(). */
int nsi_read_in_root(int rootfd, const char *path, const char *shown, size_t max, char **ret_text,
	size_t *ret_len, struct nsi_error *err);

/* Write all of it. 0 or -errno. */
int nsi_write_full(int fd, const void *data, size_t len);

/* Write `text` to an existing file (of /proc). 0 or -errno. */
int nsi_write_file(const char *path, const char *text);

enum { NSI_MAX_FDS = 8 };

/* One record and up to NSI_MAX_FDS descriptors over a SEQPACKET socket. 0 or -errno. */
int nsi_send(int sock, const void *record, size_t len, const int *fds, int n_fds);

/*
 * Receive one record; descriptors arrive close-on-exec in `fds`, unused slots are -1. Returns the length,
 * 0 at end of file, or -errno: -ETIMEDOUT after `timeout_ms` (-1: no deadline), -EMSGSIZE when it was cut.
 */
ssize_t nsi_receive(int sock, void *record, size_t size, int fds[NSI_MAX_FDS], int timeout_ms);

/* chdir(2), but not by way of a link such as /proc/self/fd/3, whatever symbolic links lead there. 0 or
 * -errno. */
int nsi_chdir(const char *path);

/* Refuse descriptors 0, 1 and 2 that a container must not get: a directory would be a way out, and a block
 * device is nobody's standard input. */
int nsi_check_stdio(struct nsi_error *err);

/* A copy of `path` in memory that nobody can change: what a container is given to execute. */
int nsi_sealed_copy(const char *path, int *ret_fd, struct nsi_error *err);

/* The path behind a descriptor, for messages; "?" when it cannot be told. */
const char *nsi_fd_path(int fd, char *buf, size_t size);

#endif
