/* Scope-bound ownership of descriptors and memory. A cleanup preserves errno. */
#ifndef NSINIT_CLEANUP_H
#define NSINIT_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static inline void nsi_cleanup_fd(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd); /* never retried: on Linux the descriptor is gone even after EINTR, close(2) */
	errno = saved;
}

static inline void nsi_cleanup_free(void *p)
{
	free(*(void **)p);
}

#define cleanup_fd __attribute__((cleanup(nsi_cleanup_fd)))
#define cleanup_free __attribute__((cleanup(nsi_cleanup_free)))

/* Hand a descriptor over to a new owner. */
static inline int nsi_take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#endif
