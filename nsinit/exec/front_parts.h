/* Inside the files of the front: front.c enters what lives, front_spawn.c starts it, front_for.c is for the
 * containers of login users. A program that only enters has the first, and two functions of its own. */
#ifndef NSINIT_FRONT_PARTS_H
#define NSINIT_FRONT_PARTS_H

#include "../../libcore/base/io.h"
#include "../../libcore/decide/plan.h"
#include "../../libcore/whole/control.h"
#include "front.h"

/* What the supervisor of a live container has answered. */
struct entry {
	int sock;
	int fds[NSI_MAX_FDS];
	struct nsi_reply reply;
	int master; /* of a recorded terminal, or -1 */
};

/* The container's environment with -e on top. The strings stay where they are. NULL: no memory. */
char **front_environment(char *const *base, const struct exec_options *o);
/* -u and -w. `root` is where the accounts are. */
int front_apply(
	const struct exec_options *o, int root, struct nsi_confinement *confine, struct nsi_error *err);
/* Let the command run, and stay until it has ended. False: no memory. */
bool front_stay(struct front *f);
/* Enter the container whose supervisor has answered; the command's exit status. */
int front_join(const struct exec_options *o, struct entry *e, struct front *f, struct nsi_exec *exec,
	struct nsi_error *err);

/* Start the container that does not live, whose lock is held, with the command; its exit status. */
int front_spawn(const struct exec_options *o, const char *id, int rootfd, int *lock, struct front *f,
	struct nsi_exec *exec, struct nsi_error *err);
/* The container of a login user: it lives, or is started as a login would start it, and its supervisor stays
 * with it. */
int front_for(const struct exec_options *o, struct entry *e, struct front *f, struct nsi_exec *exec,
	struct nsi_error *err);

#endif
