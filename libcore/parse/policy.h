/* The policy as read: rules in the order of the file. */
#ifndef NSINIT_POLICY_H
#define NSINIT_POLICY_H

#include "../base/error.h"

/* Stands in for the directory of a user without one, whose changes are kept in memory: image and uid name it.
 */
#define NSI_EPHEMERAL_DIR "/run/nsinit/ephemeral"

enum { NSI_POLICY_MAX_BYTES = 256 * 1024 };

#define NSI_RECORD_DIR "/var/lib/nsinit/records"
#define NSI_RECORD_SIZE (UINT64_C(256) << 20)

/* What is kept of recordings, by "nsinit records prune". */
struct nsi_record_store {
	char dir[256];  /* absolute */
	int days;       /* the age at which one is removed; 0: none is for its age */
	uint64_t total; /* bytes of all; 0: any number */
};

struct nsi_rule {
	int line;
	const char **users, **groups; /* NULL-terminated; NULL: not asked for */
	bool stay;
	const char *deny, *rootfs;  /* one of the three says what holds; owned by the policy */
	const char *image, *config; /* with or instead of `rootfs` */
	struct nsi_decision options;
};

struct nsi_service {
	const char *name;
	enum nsi_service_mode mode;
};

struct nsi_policy {
	struct config_t *config; /* the parser's, which owns the texts */
	char path[1024];
	bool unmapped_denied;
	struct nsi_rule *rules;
	int n_rules;
	struct nsi_service *services;
	int n_services;
	struct nsi_network_policy network; /* without any rule's limits */
	struct nsi_record_store records;
};

/* Parse a text of `len` bytes, whoever wrote it; `path` is for messages. */
int nsi_policy_parse(const char *path, const char *text, size_t len, struct nsi_policy **ret_policy,
	struct nsi_error *err);

#endif
