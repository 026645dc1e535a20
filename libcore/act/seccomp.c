#include "seccomp.h"
#include "seccomp_filter.h"

#include "../base/cleanup.h"
#include "../base/compat.h"

#include <linux/capability.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

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

int deny_terminal_input(scmp_filter_ctx filter)
{
	static const unsigned long denied[] = {TIOCSTI, TIOCLINUX};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(denied) / sizeof(denied[0]); i++)
		/* The kernel looks at the low half of the request alone. */
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
			SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, denied[i]));
	return r;
}

/*
 * libseccomp has rules go missing for want of memory, and says that all is well; only malloc(3) has left its
 * mark. errno is 0 from a filter's beginning, then.
 */
static int without_loss(int r)
{
	return r == 0 && errno == ENOMEM ? -ENOMEM : r;
}

int nsi_deny_terminal_input(struct nsi_error *err)
{
	errno = 0;
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r = filter ? 0 : -ENOMEM;

	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
	if (r == 0)
		r = add_sibling_architectures(filter);
	if (r == 0)
		r = deny_terminal_input(filter);
	if (r == 0)
		r = without_loss(0);
	if (r == 0)
		r = without_loss(seccomp_load(filter));
	seccomp_release(filter);
	return r < 0 ? nsi_fail(err, -r, "loading", "the filter for terminal input", NULL) : 0;
}

/* ------------------------------------------------------------------ the default filter */

/* The last system call that was considered here; to a program later ones do not exist yet. */
enum { NEWEST = 466, NEVER = -1 };

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#define CAP_BPF 39
#endif
#ifndef AF_ALG
#define AF_ALG 38
#endif
#ifndef AF_VSOCK
#define AF_VSOCK 40
#endif

/* What containers go without, unless they keep one of the capabilities under which a call stands. */
static const struct {
	int capability;
	const char *calls; /* between spaces */
} withheld[] = {
	/* The kernel's keys, which no namespace divides; what replaces the kernel; what has had the most
	 * faults; and what nobody has called for decades. */
	{NEVER, " add_key keyctl request_key kexec_load kexec_file_load swapon swapoff pivot_root nfsservctl "
		"io_uring_setup io_uring_enter io_uring_register userfaultfd migrate_pages move_pages "
		"personality _sysctl afs_syscall bdflush break create_module ftime get_kernel_syms getpmsg "
		"gtty idle lock mpx nice oldfstat oldlstat oldolduname oldstat olduname pciconfig_iobase "
		"pciconfig_read pciconfig_write prof profil putpmsg query_module readdir security sgetmask "
		"sigaction signal sigpending sigsuspend ssetmask stty sysfs tuxcall ulimit uselib ustat vm86 "
		"vm86old vserver "},
	{CAP_SYS_ADMIN, " bpf clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
			"lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount "
			"open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns "
			"syslog umount umount2 unshare "},
	{CAP_DAC_READ_SEARCH, " open_by_handle_at "},
	{CAP_SYS_BOOT, " reboot "},
	{CAP_SYS_CHROOT, " chroot "},
	{CAP_SYS_MODULE, " delete_module init_module finit_module "},
	{CAP_SYS_PACCT, " acct "},
	{CAP_SYS_PTRACE, " kcmp pidfd_getfd process_madvise "},
	{CAP_SYS_RAWIO, " iopl ioperm "},
	{CAP_SYS_TIME, " settimeofday stime clock_settime clock_settime64 "},
	{CAP_SYS_TTY_CONFIG, " vhangup "},
	{CAP_SYS_NICE, " get_mempolicy mbind set_mempolicy set_mempolicy_home_node "},
	{CAP_SYSLOG, " syslog "},
	{CAP_BPF, " bpf "},
	{CAP_PERFMON, " perf_event_open "},
};

static bool keeps(uint64_t capabilities, int capability)
{
	return capability != NEVER && (capabilities & (UINT64_C(1) << capability));
}

static bool is_allowed(const char *call, uint64_t capabilities)
{
	bool listed = false;
	char word[64];

	snprintf(word, sizeof(word), " %s ", call);
	for (size_t i = 0; i < sizeof(withheld) / sizeof(withheld[0]); i++) {
		if (!strstr(withheld[i].calls, word))
			continue;
		if (keeps(capabilities, withheld[i].capability))
			return true;
		listed = true;
	}
	return !listed;
}

/* For programs of the machine's word size; what is of another kind does not exist. */
int new_filter(uint32_t otherwise, scmp_filter_ctx *ret)
{
	errno = 0;
	scmp_filter_ctx filter = seccomp_init(otherwise);
	int r = filter ? 0 : -ENOMEM;

	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree; without, it is only slower */
	*ret = filter;
	return r;
}

/* The other word size, where it is in use; x32 is not. Rules from now on are for it, too. */
int add_word_size(scmp_filter_ctx filter)
{
	if (seccomp_arch_native() == SCMP_ARCH_X86_64)
		return seccomp_arch_add(filter, SCMP_ARCH_X86);
	if (seccomp_arch_native() == SCMP_ARCH_AARCH64)
		return seccomp_arch_add(filter, SCMP_ARCH_ARM);
	return 0;
}

static int add_call(scmp_filter_ctx filter, const char *call, uint64_t capabilities)
{
	bool allowed = is_allowed(call, capabilities);
	int number = seccomp_syscall_resolve_name(call), r;

	/* Its flags are in memory, where no filter sees a new user namespace asked for: programs do without
	 * it when it does not exist. */
	if (number == __NR_SCMP_ERROR || (!allowed && strcmp(call, "clone3") == 0) ||
		strcmp(call, "personality") == 0)
		return 0;
	r = seccomp_rule_add(filter, allowed ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM), number, 0);
	return r == -EEXIST ? 0 : r;
}

/* Rules go by name: what the machine's own architecture has, the other one has got with it. */
static int add_calls_of(scmp_filter_ctx filter, uint32_t arch, uint64_t capabilities)
{
	bool own = arch == seccomp_arch_native();
	int r = 0;

	if (seccomp_arch_exist(filter, arch) < 0)
		return 0;
	for (int number = 0; r == 0 && number <= NEWEST; number++) {
		char *call = seccomp_syscall_resolve_num_arch(arch, number);

		if (call && (own || seccomp_syscall_resolve_name(call) < 0))
			r = add_call(filter, call, capabilities);
		free(call);
	}
	return r;
}

/* By number alone, which the kernel remembers, seccomp(2): what is allowed costs next to nothing. */
static int calls_filter(uint64_t capabilities, scmp_filter_ctx *ret)
{
	static const char *const arm[] = {"breakpoint", "cacheflush", "set_tls"};
	static const unsigned long personalities[] = {0, 0x8, 0x20000, 0x20008, 0xffffffff};
	static const uint32_t others[] = {SCMP_ARCH_X86, SCMP_ARCH_ARM};
	int r = new_filter(SCMP_ACT_ERRNO(ENOSYS), ret);

	if (r == 0)
		r = add_word_size(*ret);
	if (r == 0)
		r = add_calls_of(*ret, seccomp_arch_native(), capabilities);
	for (size_t i = 0; r == 0 && i < sizeof(others) / sizeof(others[0]); i++)
		r = add_calls_of(*ret, others[i], capabilities);
	for (size_t i = 0; r == 0 && i < sizeof(arm) / sizeof(arm[0]); i++)
		r = add_call(*ret, arm[i], capabilities);
	for (size_t i = 0; r == 0 && i < sizeof(personalities) / sizeof(personalities[0]); i++)
		r = seccomp_rule_add(*ret, SCMP_ACT_ALLOW, SCMP_SYS(personality), 1,
			SCMP_A0(SCMP_CMP_EQ, personalities[i], 0));
	return r;
}

/* What is refused for its arguments. */
static int arguments_filter(uint64_t capabilities, scmp_filter_ctx *ret)
{
	static const unsigned long new[] = {CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER,
		CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP};
	static const unsigned families[] = {AF_ALG, AF_VSOCK};
	int r = new_filter(SCMP_ACT_ALLOW, ret);

	/* Sockets to the kernel's ciphers, and to the hypervisor: neither knows namespaces. Of 32-bit
	 * x86's socketcall(2) no filter sees the arguments, and libseccomp would refuse it whole. */
	for (size_t i = 0; r == 0 && i < sizeof(families) / sizeof(families[0]); i++)
		r = seccomp_rule_add(*ret, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
			SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffff, families[i]));
	if (r == 0)
		r = add_word_size(*ret);
	if (r == 0)
		r = deny_terminal_input(*ret);
	for (size_t i = 0; r == 0 && !keeps(capabilities, CAP_SYS_ADMIN) && i < sizeof(new) / sizeof(new[0]);
		i++)
		r = seccomp_rule_add(*ret, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
			SCMP_A0(SCMP_CMP_MASKED_EQ, new[i], new[i]));
	return r;
}

int export_filter(scmp_filter_ctx filter, struct nsi_filter *to, int which)
{
	size_t used = 0;
	int r = without_loss(0);

	if (r < 0)
		return r;
	cleanup_fd int fd = memfd_create("filter", MFD_CLOEXEC);

	for (int i = 0; i < which; i++)
		used += to->n[i];
	if (fd < 0)
		return -errno;
	r = without_loss(seccomp_export_bpf(filter, fd));
	if (r < 0)
		return r;
	size_t room = sizeof(to->code) - used * sizeof(to->code[0]);
	ssize_t n = pread(fd, &to->code[used], room, 0);
	if (n < 0 || lseek(fd, 0, SEEK_END) != n)
		return -E2BIG;
	to->n[which] = (uint16_t)((size_t)n / sizeof(to->code[0]));
	return 0;
}

int nsi_seccomp_compile(uint64_t capabilities, struct nsi_filter *ret, struct nsi_error *err)
{
	int (*const make[])(uint64_t, scmp_filter_ctx *) = {arguments_filter, calls_filter};
	int r = 0;

	for (int i = 0; r == 0 && i < 2; i++) {
		scmp_filter_ctx filter = NULL;

		r = make[i](capabilities, &filter);
		if (r == 0)
			r = export_filter(filter, ret, i);
		seccomp_release(filter);
	}
	return r < 0 ? nsi_fail(err, -r, "making", "the system call filter", NULL) : 0;
}

void nsi_seccomp_version(char *buf, size_t size)
{
	const struct scmp_version *version = seccomp_version();

	snprintf(buf, size, "%u.%u.%u", version->major, version->minor, version->micro);
}
