/* The cgroups of sessions, where each has limits of its own. */
#ifndef NSINIT_GROUPS_H
#define NSINIT_GROUPS_H

#include "watch.h"

struct groups;
struct group;

/* Those of the started container, which may have none; its limits are watched in any case. */
struct groups *groups_new(struct loop *loop, const struct container *c, watch_tell_fn tell);

/* Before container_end(), which removes what is left. Every session's group becomes NULL. */
void groups_free(struct groups *groups);

/*
 * Make one in *slot for a session of `uid` that the process `leader` has; NULL where sessions have none.
 * *slot has to stay where it is until group_close().
 */
int group_open(struct groups *groups, uid_t uid, pid_t leader, struct group **slot, struct nsi_error *err);

/* The directory to move processes to; without a group the container's, or -1. */
int group_dir(const struct container *c, const struct group *group);

/* The session has ended: the group goes as soon as nothing runs in it. */
void group_close(struct group **slot);

/* Say so if a session has ended because the kernel has killed its leader, or the one that joined for it, for
 * lack of memory. */
void groups_session_ended(struct groups *groups, uid_t uid, pid_t leader, pid_t child);

/* Whether pid 1, which has ended and is not reaped yet, was killed for lack of memory. */
bool groups_killed_init(struct groups *groups);

#endif
