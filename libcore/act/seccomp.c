#include "seccomp.h"

#include <seccomp.h>
#include <sys/ioctl.h>

#ifndef TIOCLINUX
#define TIOCLINUX 0x541C
#endif

/* A program of the other word size could otherwise make the call unfiltered. */
static int add_sibling_architectures(scmp_filter_ctx filter)
{
	int r = 0;

	switch (seccomp_arch_native()) {
	case SCMP_ARCH_X86_64:
		r = seccomp_arch_add(filter, SCMP_ARCH_X86);
		if (r == 0 || r == -EEXIST)
			r = seccomp_arch_add(filter, SCMP_ARCH_X32);
		break;
	case SCMP_ARCH_AARCH64:
		r = seccomp_arch_add(filter, SCMP_ARCH_ARM);
		break;
	default:
		break;
	}
	return r == -EEXIST ? 0 : r;
}

int nsi_deny_terminal_input(struct nsi_error *err)
{
	static const unsigned long denied[] = {TIOCSTI, TIOCLINUX};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r = filter ? 0 : -ENOMEM;

	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
	if (r == 0)
		r = add_sibling_architectures(filter);
	for (size_t i = 0; r == 0 && i < sizeof(denied) / sizeof(denied[0]); i++)
		/* The kernel looks at the low half of the request alone. */
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
			SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, denied[i]));
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r < 0 ? nsi_fail(err, -r, "loading", "the filter for terminal input", NULL) : 0;
}
