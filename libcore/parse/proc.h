/* What the kernel says in the texts of proc(5) and of cgroup v2. Whole files, NUL-terminated. */
#ifndef NSINIT_PROC_H
#define NSINIT_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Of /proc/<pid>/stat, field 22: when the process started, in clock ticks since boot. */
bool nsi_stat_start_time(const char *text, uint64_t *ret_ticks);

/* Of the same: the name between the parentheses, cut to the buffer; the state; a field by its number, from 4
 * on, one that is not negative. */
bool nsi_stat_name(const char *text, char *name, size_t size, char *ret_state);
bool nsi_stat_number(const char *text, int field, unsigned long long *ret);

/* Of /proc/<pid>/status: number `index`, from 0 on, of a line such as "Uid". False: there are not so many. */
bool nsi_status_number(const char *text, const char *name, int index, unsigned long long *ret);

/* The next line of an id map, /proc/<pid>/uid_map; *text moves on. */
struct nsi_idmap;
bool nsi_next_idmap(const char **text, struct nsi_idmap *ret);

/* Of /proc/self/fdinfo/<pidfd>: the process's number; false when it has ended, or is in no pid namespace of
 * ours. */
bool nsi_fdinfo_pid(const char *text, pid_t *ret_pid);

/* Of /proc/<pid>/cgroup: the group of cgroup v2, "/" for the root. False also when `size` is too small. */
bool nsi_cgroup_line(const char *text, char *group, size_t size);

/* A line of /proc/net/route: whether it is a default route, and then of which interface. */
bool nsi_is_default_route(const char *line, char ret_interface[16]);

/* In a file of lines "name value": the number of `name`. With the name "": the file is one number. */
bool nsi_counter(const char *text, const char *name, unsigned long long *ret);

/* Of io.stat: the sum over all devices of the fields `name=`. */
unsigned long long nsi_io_sum(const char *text, const char *name);

/* Of a pressure file: the share of the last 10 seconds that some process waited, in hundredths of a percent.
 */
bool nsi_pressure(const char *text, unsigned *ret_share);

/* Whether a list of words between spaces, such as cgroup.controllers, has `word`. */
bool nsi_has_word(const char *text, const char *word);

/* The next of a list of process numbers, one a line; *text moves on. What is no number above 1 is skipped. */
bool nsi_next_pid(const char **text, pid_t *ret_pid);

#endif
