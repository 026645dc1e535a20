#include "seccomp.h"
#include "seccomp_filter.h"

#include "../base/compat.h"
#include "../base/str.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

enum { TERMINALS, CALLS, NEWER }; /* the last one loaded wins where two say "errno", seccomp(2) */

static uint32_t action_of(enum nsi_profile_action action, unsigned errno_value)
{
	switch (action) {
	case NSI_ACT_KILL_THREAD:
		return SCMP_ACT_KILL_THREAD;
	case NSI_ACT_TRAP:
		return SCMP_ACT_TRAP;
	case NSI_ACT_ERRNO:
		return SCMP_ACT_ERRNO(errno_value);
	case NSI_ACT_LOG:
		return SCMP_ACT_LOG;
	case NSI_ACT_ALLOW:
		return SCMP_ACT_ALLOW;
	case NSI_ACT_KILL_PROCESS:
		break;
	}
	return SCMP_ACT_KILL_PROCESS;
}

/* ------------------------------------------------------------------ conditions */

static const char *own_arch(void)
{
	switch (seccomp_arch_native()) {
	case SCMP_ARCH_X86_64:
		return "amd64 ";
	case SCMP_ARCH_AARCH64:
		return "arm64 ";
	case SCMP_ARCH_RISCV64:
		return "riscv64 ";
	default:
		return "?";
	}
}

static bool has_arch(const char *arches)
{
	const char *own = own_arch(), *at = strstr(arches, own);

	return at && (at == arches || at[-1] == ' ');
}

static bool kernel_is(unsigned least)
{
	struct utsname name;
	unsigned version = 0;

	return uname(&name) == 0 && nsi_parse_version(name.release, &version) && version >= least;
}

static bool holds(const struct nsi_profile_rule *rule, uint64_t capabilities)
{
	const struct nsi_profile_when *in = &rule->includes, *ex = &rule->excludes;

	if ((in->capabilities & ~capabilities) || (ex->capabilities & capabilities))
		return false;
	if ((in->arches[0] && !has_arch(in->arches)) || has_arch(ex->arches))
		return false;
	return (!in->kernel || kernel_is(in->kernel)) && (!ex->kernel || !kernel_is(ex->kernel));
}

/* ------------------------------------------------------------------ rules */

static struct scmp_arg_cmp compare(const struct nsi_profile_arg *arg)
{
	static const enum scmp_compare ops[] = {[NSI_CMP_NE] = SCMP_CMP_NE,
		[NSI_CMP_LT] = SCMP_CMP_LT,
		[NSI_CMP_LE] = SCMP_CMP_LE,
		[NSI_CMP_EQ] = SCMP_CMP_EQ,
		[NSI_CMP_GE] = SCMP_CMP_GE,
		[NSI_CMP_GT] = SCMP_CMP_GT,
		[NSI_CMP_MASKED_EQ] = SCMP_CMP_MASKED_EQ};

	return (struct scmp_arg_cmp){
		.arg = arg->index, .op = ops[arg->op], .datum_a = arg->value, .datum_b = arg->value_two};
}

/* One call of a rule. Two conditions on one argument stand for two rules, as in other runtimes: libseccomp
 * takes one for each. */
static int add_call(scmp_filter_ctx filter, const struct nsi_profile_rule *rule, int call, uint32_t action)
{
	struct scmp_arg_cmp all[NSI_PROFILE_MAX_ARGS];
	unsigned seen = 0;
	bool twice = false;
	int r = 0;

	for (int i = 0; i < rule->n_args; i++) {
		all[i] = compare(&rule->args[i]);
		twice |= (seen & 1U << all[i].arg) != 0;
		seen |= 1U << all[i].arg;
	}
	if (!twice)
		r = seccomp_rule_add_array(filter, action, call, (unsigned)rule->n_args, all);
	for (int i = 0; twice && r == 0 && i < rule->n_args; i++)
		r = seccomp_rule_add_array(filter, action, call, 1, &all[i]);
	/* One that says it again; or of a call that only another architecture has. */
	return r == -EEXIST || r == -EDOM || r == -EOPNOTSUPP ? 0 : r;
}

static int add_rules(scmp_filter_ctx filter, const struct nsi_profile *profile, uint64_t capabilities,
	uint32_t otherwise, int *ret_newest)
{
	int r = 0;

	for (int i = 0; r == 0 && i < profile->n_rules; i++) {
		const struct nsi_profile_rule *rule = &profile->rules[i];
		uint32_t action = action_of(rule->action, rule->errno_value);
		bool wanted = action != otherwise && holds(rule, capabilities);

		for (int n = 0; r == 0 && n < rule->n_names; n++) {
			int call = seccomp_syscall_resolve_name(rule->names[n]);

			if (call == __NR_SCMP_ERROR)
				continue;
			if (call > *ret_newest)
				*ret_newest = call;
			if (wanted)
				r = add_call(filter, rule, call, action);
		}
	}
	return r;
}

/* To a program, a call that the profile's author did not know of does not exist yet. */
static int add_newer(struct nsi_filter *to, int newest)
{
#if defined(__x86_64__)
	const uint32_t arch = AUDIT_ARCH_X86_64, last = 0x3fffffff; /* from there on it is x32 */
#elif defined(__aarch64__)
	const uint32_t arch = AUDIT_ARCH_AARCH64, last = 0x7fffffff;
#else
	const uint32_t arch = 0, last = 0;
#endif
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arch, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)newest, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	size_t used = (size_t)to->n[TERMINALS] + to->n[CALLS];

	if (used + sizeof(code) / sizeof(code[0]) > NSI_FILTER_MAX)
		return -E2BIG;
	memcpy(&to->code[used], code, sizeof(code));
	to->n[NEWER] = sizeof(code) / sizeof(code[0]);
	return 0;
}

static int terminals(struct nsi_filter *ret)
{
	scmp_filter_ctx filter = NULL;
	int r = new_filter(SCMP_ACT_ALLOW, &filter);

	if (r == 0)
		r = add_word_size(filter);
	if (r == 0)
		r = deny_terminal_input(filter);
	if (r == 0)
		r = export_filter(filter, ret, TERMINALS);
	seccomp_release(filter);
	return r;
}

int nsi_seccomp_compile_profile(const struct nsi_profile *profile, uint64_t capabilities,
	struct nsi_filter *ret, struct nsi_error *err)
{
	uint32_t otherwise = action_of(profile->otherwise, profile->errno_value);
	scmp_filter_ctx filter = NULL;
	int newest = 0, r = terminals(ret);

	if (r == 0)
		r = new_filter(otherwise, &filter);
	if (r == 0 && profile->other_word_size)
		r = add_word_size(filter);
	if (r == 0)
		r = add_rules(filter, profile, capabilities, otherwise, &newest);
	if (r == 0)
		r = export_filter(filter, ret, CALLS);
	if (r == 0 && profile->otherwise == NSI_ACT_ERRNO && newest > 0)
		r = add_newer(ret, newest);
	seccomp_release(filter);
	return r < 0 ? nsi_fail(err, -r, "making", "the system call filter of the profile",
			       r == -E2BIG ? "it is too long" : NULL)
		     : 0;
}
