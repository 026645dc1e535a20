/* container.json: text in, struct out. */
#ifndef NSINIT_SPEC_H
#define NSINIT_SPEC_H

#include "../base/error.h"
#include "devices.h"
#include "idmaps.h"
#include "mounts.h"
#include "network.h"
#include "process.h"

#include <stdint.h>

enum {
	NSI_SPEC_MAX_BYTES = 64 * 1024,
	NSI_SPEC_MAX_DEPTH = 16,
	NSI_SPEC_MAX_ENV = 512,
};

struct nsi_spec {
	char hostname[65];                       /* "": keep the host's */
	char *environment[NSI_SPEC_MAX_ENV + 1]; /* "NAME=value", literal; NULL-terminated */
	uint64_t namespaces;                     /* CLONE_NEW* */
	uint64_t capabilities;                   /* what remains: bit N for capability N */
	struct nsi_ids ids;                      /* none: a range of nsinit's choice */
	struct nsi_network network;
	struct nsi_resources resources;
	bool readonly_fs;
	char user[64];          /* "", "uid[:gid[,gid...]]", or names of the image */
	char working_dir[1024]; /* absolute; "/" where absent */
	struct nsi_process_spec process;
	struct nsi_mount *mounts;
	int n_mounts;
	struct nsi_device devices[NSI_MAX_DEVICES];
	int n_devices;
};

/* `file` is the name for messages. */
int nsi_spec_parse(
	const char *file, const char *text, size_t len, struct nsi_spec **ret_spec, struct nsi_error *err);
void nsi_spec_free(struct nsi_spec *spec);

#endif
