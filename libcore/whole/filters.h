/*
 * System call filters that were compiled before, in NSI_RUN_DIR/filters: libseccomp takes longer to make one
 * than all the rest of a container takes. Only root reads and writes there, and the machine's next start
 * begins without any. An ordinary user's have a directory of their own, nsi_run_root().
 */
#ifndef NSINIT_FILTERS_H
#define NSINIT_FILTERS_H

#include "../decide/plan.h"

/*
 * The filter that was kept for exactly the `len` bytes of `key`: all that it was made of, the program that
 * made it and its libraries included. False: there is none, or none that can be trusted; make it then.
 */
bool nsi_filter_recall(const void *key, size_t len, struct nsi_filter *ret);

/* Keep it. What cannot be kept is only made again. */
void nsi_filter_keep(const void *key, size_t len, const struct nsi_filter *filter);

#endif
