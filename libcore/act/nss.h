/* The host's way of looking names up, in a process that is about to see other files. */
#ifndef NSINIT_NSS_H
#define NSINIT_NSS_H

#include "../base/error.h"

/*
 * From now on this process looks names up in plain files only, whatever nsswitch.conf says, and speaks the C
 * locale. After entering a container its nsswitch.conf and its locale data would otherwise make a privileged
 * process load the container's shared objects.
 */
int nsi_pin_names(struct nsi_error *err);

#endif
