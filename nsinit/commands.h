/* The subcommands. Each takes its own argv ([0] is its name) and returns the exit status. */
#ifndef NSINIT_COMMANDS_H
#define NSINIT_COMMANDS_H

#include "../libcore/nsinit.h"

int cmd_exec(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_activate(int argc, char **argv);
int cmd_disable(int argc, char **argv);
int cmd_enable(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_list(int argc, char **argv);
/* Not for people: what the library starts. */
int cmd_supervise(void);

/* Unless it is that already, go on as a copy of this program that nobody can write to. Returns in the copy.
 */
int run_sealed(char **argv, struct nsi_error *err);

/* Print the record as "nsinit: ..." on standard error; returns its exit status. */
int report(const struct nsi_error *err);

#endif
