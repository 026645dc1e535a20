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
int cmd_init(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_sessions(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_kill(int argc, char **argv);
int cmd_wait(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_records(int argc, char **argv);
/* Not for people: what the library starts. */
int cmd_supervise(int argc, char **argv);
int cmd_record(int argc, char **argv);

/* Unless it is that already, go on as a copy of this program that nobody can write to. Returns in the copy.
 */
int run_sealed(char **argv, struct nsi_error *err);
/* Go on as a copy of the program `path` that nobody can write to. Returns only what went wrong. */
int start_sealed(const char *path, char **argv, struct nsi_error *err);

/* Print the record as "nsinit: ..." on standard error; returns its exit status. */
int report(const struct nsi_error *err);

/* How a subcommand is called, on standard error. */
void print_usage(const char *name);

/* 0 for root; otherwise a message that `what` is root's to do, and the exit status. */
int need_root(const char *name, const char *what);

#endif
