/* Keys of container.json that have a file of their own. */
#ifndef NSINIT_SPEC_KEYS_H
#define NSINIT_SPEC_KEYS_H

#include "json_read.h"

int nsi_read_capabilities(struct nsi_reader *r, const char *key, json_object *value);
int nsi_read_network(struct nsi_reader *r, const char *key, json_object *value);
int nsi_read_mounts(struct nsi_reader *r, const char *key, json_object *value);

#endif
