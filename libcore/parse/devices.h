/* Device nodes of the host that a container gets. Plain values. */
#ifndef NSINIT_DEVICES_H
#define NSINIT_DEVICES_H

#include <stdbool.h>

enum { NSI_MAX_DEVICES = 16, NSI_DEVICE_READ = 1, NSI_DEVICE_WRITE = 2 };

struct nsi_device {
	char path[128];   /* on the host */
	char target[128]; /* inside, below /dev */
	unsigned access;  /* NSI_DEVICE_*; what the node's own mode allows is another matter */
	bool optional;    /* left out where the host has no such node */
};

#endif
