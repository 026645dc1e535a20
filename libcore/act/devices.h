/* Which device nodes work in a container: those that it gets, whatever it makes. */
#ifndef NSINIT_ACT_DEVICES_H
#define NSINIT_ACT_DEVICES_H

#include "../base/error.h"
#include "../parse/devices.h"

/*
 * Hold the processes of a cgroup (its directory) to the devices that every container has and to these: a
 * program of BPF_PROG_TYPE_CGROUP_DEVICE, which lives as long as the group. Without a cgroup (-1) nodes that
 * a container makes still do not work, since nothing is mounted with "dev"; but one that is given can be read
 * and written: less than that is refused then (reason "devices"). Also refused: what is no device node of the
 * host. Needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN.
 */
int nsi_devices_hold(int cgroup, const struct nsi_device *devices, int n, struct nsi_error *err);

#endif
