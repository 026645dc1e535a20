/* What nsinit-shell is to run. Without json-c: it has this file too. */
#ifndef NSINIT_LOGIN_SHELL_H
#define NSINIT_LOGIN_SHELL_H

#include <stdbool.h>
#include <stddef.h>

/* The next path of the note in the container's /dev, one a line; *text moves on. Skips what is no path. */
bool nsi_next_shell(const char **text, char *path, size_t size);

/*
 * The words of a request for an sftp server, as sshd_config(5)'s Subsystem has it: "internal-sftp" or a path
 * of the host's, with plain options. They lie in `command`, which is changed; NULL ends them. False:
 * everything else, which is the shell's business.
 */
bool nsi_sftp_words(char *command, char *words[], size_t max);

#endif
