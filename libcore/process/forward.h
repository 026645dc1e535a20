/* Signals that reach us are meant for the command that we stand for. */
#ifndef NSINIT_FORWARD_H
#define NSINIT_FORWARD_H

#include "../act/relay.h"

/*
 * Block what is forwarded, before the command exists, so that none is lost; the command starts with none
 * blocked. A descriptor for nsi_forward_signals(), or -1.
 */
int nsi_block_signals(void);

struct nsi_forward {
	struct relay *relay;
	int pidfd; /* of the command */
};

/* From now on in `loop`: signals go to the command, SIGWINCH to its terminal's size, SIGHUP to both. */
bool nsi_forward_signals(struct loop *loop, int signals, struct nsi_forward *to);

/* The exit status that a shell gives for a wait status: 128+N for signal N. */
int nsi_exit_status(int wait_status);

#endif
