/* The field's names: namespaces and capabilities. */
#ifndef NSINIT_NAMES_H
#define NSINIT_NAMES_H

#include <stdint.h>

/* CLONE_NEW* for "NEWNS", ...; 0 when there is no such namespace. */
uint64_t nsi_namespace_flag(const char *name);
const char *const *nsi_namespace_names(void);

/* Number of the capability "SYS_ADMIN" or "CAP_SYS_ADMIN" (upper case), or -1. */
int nsi_capability_number(const char *name);
/* All names, without "CAP_"; NULL-terminated. */
const char *const *nsi_capability_names(void);

/* What a container holds when it asks for nothing: the 14 that container engines agree on. */
uint64_t nsi_capability_base(void);

#endif
