/* The supervisor's part that others talk to: sessions come, are counted, and end. */
#ifndef NSINIT_SERVER_H
#define NSINIT_SERVER_H

#include "../../libcore/act/loop.h"
#include "groups.h"

struct server;
struct session;

/*
 * Serve the started container's control socket until pid 1 has ended, or until server_end(). `decision` is
 * the policy's for a login container; NULL for a container whose command is pid 1, which has no `groups`
 * either. The loop stops then.
 */
struct server *server_new(
	struct loop *loop, struct container *c, const struct nsi_decision *decision, struct groups *groups);

/* A connection that exists already. Takes it over. NULL: it could not be kept. */
struct session *server_adopt(struct server *server, int sock);

/* End the container in order. The first `why` that is given holds; it is for the log. */
void server_end(struct server *server, const char *why);
const char *server_why(const struct server *server);

/*
 * Ends every session: what joined from outside the container is killed. After the loop, the groups, and the
 * container's end, of which who waits for it is told with exit status `status`, -1 for none.
 */
void server_free(struct server *server, int status);

#endif
