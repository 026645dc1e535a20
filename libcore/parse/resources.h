/* Limits of resources: their names in cgroup v2, and the texts that stand for them in the two files. */
#ifndef NSINIT_RESOURCES_H
#define NSINIT_RESOURCES_H

#include "../nsinit.h"

enum {
	NSI_CPU_PERIOD = 100000,
	NSI_MEMORY_LEAST = 1024 * 1024,
	NSI_PIDS_MOST = 4194304,
	NSI_WEIGHT_MOST = 10000
};

/* "memory", and "memory.max": a controller of cgroups(7) and its file. */
const char *nsi_limit_controller(enum nsi_limit limit);
const char *nsi_limit_file(enum nsi_limit limit);

/* Whether `limit` is asked for. */
bool nsi_limit_set(const struct nsi_resources *res, enum nsi_limit limit);
void nsi_limit_put(struct nsi_resources *res, enum nsi_limit limit, uint64_t value);

/* "512M": bytes, with K, M, G or T for powers of 1024. */
bool nsi_parse_size(const char *text, uint64_t *ret_bytes);
/* The other way round, in `buf`. */
const char *nsi_size_text(uint64_t bytes, char *buf, size_t size);

/* "50%" of one CPU, or "QUOTA/PERIOD" in microseconds. */
bool nsi_parse_cpu(const char *text, struct nsi_resources *ret);

/* Whether `a` allows more than `b` does; both have the limit. */
bool nsi_limit_exceeds(const struct nsi_resources *a, const struct nsi_resources *b, enum nsi_limit limit);

/* What is written to the file. */
void nsi_limit_value(const struct nsi_resources *res, enum nsi_limit limit, char *buf, size_t size);
/* The same for people: "512M", "50%". */
const char *nsi_limit_text(const struct nsi_resources *res, enum nsi_limit limit, char *buf, size_t size);
/* All of them: "memory.max=512M cpu.max=50%". */
const char *nsi_resources_text(const struct nsi_resources *res, char *buf, size_t size);

#endif
