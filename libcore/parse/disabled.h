/* The text of the file that lets every login onto the host for a while: written by disabled.c of `whole`. */
#ifndef NSINIT_DISABLED_H
#define NSINIT_DISABLED_H

#include <stdbool.h>

/* Until which second since boot it holds. False: it is not whole, or of another boot. Changes `text`. */
bool nsi_disabled_until(char *text, const char *boot_id, unsigned long long *ret_until);

#endif
