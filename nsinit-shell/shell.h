/*
 * nsinit-shell: a login shell, or ForceCommand, that lands in the user's container.
 *
 * An ordinary program without privilege, statically linked: no variable of the caller's environment makes it
 * load code. It takes nothing from its arguments and environment for itself; who the user is says the kernel.
 *
 *     outside   asks for the container (a supervisor's door, or nsinitd), joins it by owner right, and
 * executes itself there. Stays as the process's parent, and relays where the terminal is the host's. inside
 * executes the user's real shell, with the same arguments.
 */
#ifndef NSINIT_SHELL_H
#define NSINIT_SHELL_H

#include "../libcore/process/exec.h"

/* Enter the container and run this program with `argv` in it. Returns the wait status, or -1 with *err. */
int shell_outside(char **argv, char **env, struct nsi_error *err);

/* Whether this process is in a login container. */
bool shell_is_inside(void);

/* Become the user's shell, or the server that was asked for. Returns an exit status only on failure. */
int shell_inside(int argc, char **argv, char **env);

/* Tell an sftp client on standard input and output why there is no server. */
void shell_refuse_sftp(const char *reason);

/* Run `exec` as started by `start`, relaying terminals that are the caller's. Wait status, or -1. */
typedef int (*shell_start_fn)(
	void *data, const struct nsi_exec *exec, struct nsi_process *ret, struct nsi_error *err);
int shell_run(shell_start_fn start, void *data, const bool terminal[3], struct nsi_exec *exec,
	struct nsi_error *err);

/* Environment arrays. The value, or NULL; a copy with `changes` on top; the same without a name. */
const char *env_get(char *const *env, const char *name);
char **env_merge(char *const *env, char *const *changes, const char *const *kept);
void env_remove(char **env, const char *name);

#endif
