/* systemd-machined is told of the container, where the policy says so. */
#ifndef NSINIT_MACHINE_H
#define NSINIT_MACHINE_H

#include "../../libcore/act/loop.h"
#include "../../libcore/whole/control.h"
#include "../container/container.h"

struct machine;

/*
 * While the loop runs: no login waits for it, or depends on it. What goes wrong is logged. NULL: the policy
 * does not want it, or it has failed already.
 */
struct machine *machine_tell(struct loop *loop, const struct container *c, const struct nsi_login *who);

/* After the loop. machined sees by itself that the supervisor has ended. */
void machine_free(struct machine *m);

#endif
