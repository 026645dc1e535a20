/*
 * A seccomp profile as container engines have it: Docker's format, and that of "linux.seccomp" in the OCI
 * runtime specification. Text in, struct out; which rules hold for a container is decided when it is
 * compiled.
 */
#ifndef NSINIT_SECCOMP_PROFILE_H
#define NSINIT_SECCOMP_PROFILE_H

#include "../base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	NSI_PROFILE_MAX_BYTES = 256 * 1024,
	NSI_PROFILE_MAX_RULES = 512,
	NSI_PROFILE_MAX_NAMES = 1024, /* of one rule */
	NSI_PROFILE_MAX_ARGS = 6,
	NSI_CALL_SIZE = 32,
};

enum nsi_profile_action {
	NSI_ACT_KILL_THREAD,
	NSI_ACT_KILL_PROCESS,
	NSI_ACT_TRAP,
	NSI_ACT_ERRNO,
	NSI_ACT_LOG,
	NSI_ACT_ALLOW,
};

/* seccomp_rule_add(3) */
enum nsi_profile_op {
	NSI_CMP_NE,
	NSI_CMP_LT,
	NSI_CMP_LE,
	NSI_CMP_EQ,
	NSI_CMP_GE,
	NSI_CMP_GT,
	NSI_CMP_MASKED_EQ
};

struct nsi_profile_arg {
	unsigned index;
	enum nsi_profile_op op;
	uint64_t value, value_two; /* MASKED_EQ: mask and what it leaves */
};

/* What a rule holds for, or does not. */
struct nsi_profile_when {
	uint64_t capabilities; /* bit N for capability N */
	char arches[128];      /* Go's names, each ended by ' ' */
	unsigned kernel;       /* at least version kernel >> 16 . kernel & 0xffff; 0: any */
};

struct nsi_profile_rule {
	char (*names)[NSI_CALL_SIZE]; /* owned */
	int n_names;
	enum nsi_profile_action action;
	unsigned errno_value; /* with NSI_ACT_ERRNO */
	struct nsi_profile_arg args[NSI_PROFILE_MAX_ARGS];
	int n_args;
	struct nsi_profile_when includes, excludes;
};

struct nsi_profile {
	enum nsi_profile_action otherwise;
	unsigned errno_value; /* with NSI_ACT_ERRNO */
	bool architectures;   /* they are listed; the machine's own among them: */
	bool own_architecture;
	bool other_word_size;           /* that of the machine's other word size, too, as x86 on x86-64 */
	struct nsi_profile_rule *rules; /* owned */
	int n_rules;
};

/* `file` is the name for messages. */
int nsi_profile_parse(const char *file, const char *text, size_t len, struct nsi_profile **ret_profile,
	struct nsi_error *err);
void nsi_profile_free(struct nsi_profile *profile);

#endif
