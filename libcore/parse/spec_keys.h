/* Keys of container.json that have a file of their own. */
#ifndef NSINIT_SPEC_KEYS_H
#define NSINIT_SPEC_KEYS_H

#include "json_read.h"

int nsi_read_capabilities(struct nsi_reader *r, const char *key, json_object *value);
int nsi_read_network(struct nsi_reader *r, const char *key, json_object *value);
int nsi_read_resources(struct nsi_reader *r, const char *key, json_object *value);
/* What "network" can only tell with the rest of the file read. */
int nsi_check_network(struct nsi_reader *r);

/* Of processes: limits, filters, kernel settings and what is hidden. */
int nsi_read_rlimits(struct nsi_reader *r, const char *key, json_object *value);
int nsi_read_no_new_privs(struct nsi_reader *r, const char *key, json_object *value);
int nsi_read_seccomp(struct nsi_reader *r, const char *key, json_object *value);
int nsi_read_oom_score_adj(struct nsi_reader *r, const char *key, json_object *value);
int nsi_read_sysctl(struct nsi_reader *r, const char *key, json_object *value);
int nsi_read_domainname(struct nsi_reader *r, const char *key, json_object *value);
int nsi_read_masked_paths(struct nsi_reader *r, const char *key, json_object *value);
int nsi_read_readonly_paths(struct nsi_reader *r, const char *key, json_object *value);
int nsi_read_timezone(struct nsi_reader *r, const char *key, json_object *value);
int nsi_read_labels(struct nsi_reader *r, const char *key, json_object *value);
/* What they can only tell with the rest of the file read. */
int nsi_check_process(struct nsi_reader *r);
int nsi_read_uid_mappings(struct nsi_reader *r, const char *key, json_object *value);
int nsi_read_gid_mappings(struct nsi_reader *r, const char *key, json_object *value);
/* What they can only tell with the rest of the file read. */
int nsi_check_mappings(struct nsi_reader *r);
int nsi_read_devices(struct nsi_reader *r, const char *key, json_object *value);
int nsi_read_mounts(struct nsi_reader *r, const char *key, json_object *value);

#endif
