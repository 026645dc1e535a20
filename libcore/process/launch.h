/* Starting supervisors and recorders from somebody else's process. */
#ifndef NSINIT_LAUNCH_H
#define NSINIT_LAUNCH_H

#include "../base/error.h"

/*
 * Start `program` with argument `verb` and with `sock` as its descriptor 3, as nobody's child and with
 * nothing of the caller: not its session, environment, signals, limits, descriptors, working directory, login
 * uid or cgroup, which may be a login session's that systemd ends. The caller, which may have threads, hears
 * of no child.
 */
int nsi_launch(const char *program, const char *verb, int sock, struct nsi_error *err);

#endif
