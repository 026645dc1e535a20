/* Which ids of the host the ids of a user namespace are: user_namespaces(7). Plain values. */
#ifndef NSINIT_IDMAPS_H
#define NSINIT_IDMAPS_H

#include <stdint.h>

struct nsi_idmap {
	uint32_t inside, outside, count;
};

enum { NSI_MAX_IDMAP = 6 };

struct nsi_ids {
	int n_uids, n_gids;
	struct nsi_idmap uids[NSI_MAX_IDMAP], gids[NSI_MAX_IDMAP];
};

#endif
