/* What the makers of filters share. libseccomp's errors: negative errno values. */
#ifndef NSINIT_SECCOMP_FILTER_H
#define NSINIT_SECCOMP_FILTER_H

#include "../decide/plan.h"

#include <seccomp.h>

/* For programs of the machine's word size; what is of another kind does not exist. */
int new_filter(uint32_t otherwise, scmp_filter_ctx *ret);

/* The other word size, where it is in use; x32 is not. Rules from now on are for it, too. */
int add_word_size(scmp_filter_ctx filter);

int deny_terminal_input(scmp_filter_ctx filter);

/*
 * As filter number `which`, behind those before it. -ENOMEM also where libseccomp has left out rules of this
 * filter, which it does without a word.
 */
int export_filter(scmp_filter_ctx filter, struct nsi_filter *to, int which);

#endif
