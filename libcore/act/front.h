/*
 * Terminals of a container with somebody between them and the program that has them, and the program (sshd)
 * not knowing. It allocates a pair of devpts `front`, by /dev/ptmx, and takes for the other end of it what
 * /dev/pts/<number> is: a terminal of the container, of the same number as a rule. Between the two ends that
 * it has not, the front's terminal and the container's master, stands a process of ours.
 *
 *     sshd   master of the front  <->  its terminal   OURS   the container's master  <->  its terminal shell
 *
 * It works because /dev/ptmx is a bind of the front's, and beside it lies no devpts but the view: with that
 * the kernel does not tell the other end (TIOCGPTPEER: ENODEV), and openpty(3) asks for it by its name. The
 * view has names only of terminals that are ours: nothing else can be had by it.
 */
#ifndef NSINIT_FRONT_H
#define NSINIT_FRONT_H

#include "../base/error.h"

/* A devpts of its own, detached. */
int nsi_front_new(int *ret_front, struct nsi_error *err);

/*
 * In a mount namespace of our own: put the front in the place of the host's terminals. `terminals` is a
 * detached devpts of the container. All three stay mounted, one over the other; *ret_view, the directory that
 * is seen, and *ret_devpts, that of the container, are for nsi_front_show().
 */
int nsi_front_mount(int front, int terminals, int *ret_view, int *ret_devpts, struct nsi_error *err);

/* In that namespace: number `as` of the view is from now on terminal `number` of the container. */
int nsi_front_show(int view, int devpts, unsigned as, unsigned number, struct nsi_error *err);

/*
 * Allocate a terminal as sshd does, and see whether it gets what it should: the front's next number, and for
 * it terminal `number` of `devpts`. -ENOTSUP: it does not.
 */
int nsi_front_check(int devpts, unsigned as, unsigned number, struct nsi_error *err);

#endif
