/* For the files that read parts of the policy; they alone see libconfig. */
#ifndef NSINIT_POLICY_READ_H
#define NSINIT_POLICY_READ_H

#include "policy.h"

#include <libconfig.h>

struct reader {
	struct nsi_policy *policy;
	struct nsi_error *err;
};

/* Fail at a setting. */
int nsi_policy_fault(struct reader *r, const config_setting_t *at, const char *hint, const char *what);

/* A setting of `group` that is not in `names` is an error. */
int nsi_policy_names(struct reader *r, const config_setting_t *group, const char *const *names);

/* The top level's "networks". */
int nsi_policy_networks(struct reader *r, const config_setting_t *list, struct nsi_network_policy *network);

/* What "limits" of a rule says of the network. */
#define NSI_NETWORK_LIMITS "host_network", "bridges"
int nsi_policy_network_limits(
	struct reader *r, const config_setting_t *limits, struct nsi_network_policy *network);

/* Where the root directory of a rule comes from. */
#define NSI_ROOT_NAMES "rootfs", "image", "config", "ephemeral", "ephemeral_size", "size"
int nsi_policy_root(struct reader *r, const config_setting_t *s, struct nsi_rule *rule);

/* What "limits" of a rule says of mounts. */
#define NSI_MOUNT_LIMITS "mounts"
int nsi_policy_mount_limits(struct reader *r, const config_setting_t *limits, struct nsi_decision *options);

/* What "limits" of a rule says of resources. */
#define NSI_RESOURCE_LIMITS "memory", "swap", "cpu", "pids", "clamp"
int nsi_policy_resource_limits(
	struct reader *r, const config_setting_t *limits, struct nsi_decision *options);

/* "session_limits" of a rule. */
int nsi_policy_session_limits(struct reader *r, const config_setting_t *group, struct nsi_decision *options);

/* What "limits" of a rule says of capabilities, namespaces, kernel settings and devices. */
#define NSI_CEILING_LIMITS "capabilities", "host_namespaces", "sysctl", "devices"
int nsi_policy_ceilings(struct reader *r, const config_setting_t *limits, struct nsi_ceilings *ceilings);

/* What is recorded of sessions; and, at the top level, where that is kept, and for how long. */
#define NSI_RECORD_NAMES "record", "record_input", "record_required", "record_size"
#define NSI_STORE_NAMES "record_dir", "record_age", "record_total"
int nsi_policy_record(struct reader *r, const config_setting_t *group, struct nsi_recording *recording);
int nsi_policy_store(struct reader *r, const config_setting_t *root, struct nsi_record_store *store);

#endif
