/* The default filters, run call by call on an interpreter of their language. */
#include "../../libcore/act/seccomp.h"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cmocka.h>

#ifdef __x86_64__

static const uint64_t docker = UINT64_C(0xa80425fb), all = ~UINT64_C(0);

static uint32_t word(const struct seccomp_data *data, uint32_t at)
{
	uint32_t value;

	memcpy(&value, (const char *)data + at, sizeof(value));
	return value;
}

static bool jump(const struct sock_filter *i, uint32_t a)
{
	switch (BPF_OP(i->code)) {
	case BPF_JEQ:
		return a == i->k;
	case BPF_JGT:
		return a > i->k;
	case BPF_JGE:
		return a >= i->k;
	case BPF_JSET:
		return a & i->k;
	}
	fail_msg("jump %x", i->code);
	return false;
}

static uint32_t run_one(const struct sock_filter *code, unsigned n, const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (unsigned pc = 0; pc < n; pc++) {
		const struct sock_filter *i = &code[pc];

		if (i->code == (BPF_LD | BPF_W | BPF_ABS))
			a = word(data, i->k);
		else if (i->code == (BPF_ALU | BPF_AND | BPF_K))
			a &= i->k;
		else if (i->code == (BPF_JMP | BPF_JA))
			pc += i->k;
		else if (BPF_CLASS(i->code) == BPF_JMP)
			pc += jump(i, a) ? i->jt : i->jf;
		else if (i->code == (BPF_RET | BPF_K))
			return i->k;
		else
			fail_msg("instruction %x", i->code);
	}
	fail_msg("past the end");
	return 0;
}

/* 0: allowed, otherwise the errno value. */
static int verdict(const struct nsi_filter *f, const struct seccomp_data *data)
{
	const struct sock_filter *code = f->code;
	int worst = 0;

	for (int i = 0; i < NSI_FILTERS; i++) {
		uint32_t r;

		if (f->n[i] == 0)
			continue;
		r = run_one(code, f->n[i], data);
		assert_true(r == SECCOMP_RET_ALLOW || (r & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO);
		if (r != SECCOMP_RET_ALLOW)
			worst = (int)(r & SECCOMP_RET_DATA);
		code += f->n[i];
	}
	return worst;
}

static int call(const struct nsi_filter *f, uint32_t arch, int number, uint64_t a0, uint64_t a1)
{
	struct seccomp_data data = {.arch = arch, .nr = number, .args = {a0, a1}};

	return verdict(f, &data);
}

static int native(const struct nsi_filter *f, long number, uint64_t a0, uint64_t a1)
{
	return call(f, AUDIT_ARCH_X86_64, (int)number, a0, a1);
}

static void compile(uint64_t capabilities, struct nsi_filter *f)
{
	struct nsi_error err = {0};

	memset(f, 0, sizeof(*f));
	if (nsi_seccomp_compile(capabilities, f, &err) < 0)
		fail_msg("%s", err.cause);
	print_message("%u and %u instructions\n", f->n[0], f->n[1]);
}

static void withheld(void **state)
{
	static const int denied[] = {SYS_keyctl, SYS_add_key, SYS_request_key, SYS_bpf, SYS_kexec_load,
		SYS_kexec_file_load, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_mount,
		SYS_umount2, SYS_pivot_root, SYS_unshare, SYS_setns, SYS_swapon, SYS_reboot, SYS_iopl,
		SYS_ioperm, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_open_by_handle_at,
		SYS_settimeofday, SYS_clock_settime, SYS_syslog, SYS_acct, SYS_quotactl, SYS_fsopen,
		SYS_open_tree, SYS_move_mount, SYS_mount_setattr, SYS_pidfd_getfd, SYS_kcmp, SYS_sethostname,
		SYS_setdomainname, SYS_vhangup};
	static const int allowed[] = {SYS_read, SYS_execve, SYS_fork, SYS_vfork, SYS_setresuid, SYS_setgroups,
		SYS_capset, SYS_prctl, SYS_seccomp, SYS_close_range, SYS_ptrace, SYS_chroot, SYS_mknod,
		SYS_pidfd_open, SYS_rseq, SYS_statx, SYS_openat2, SYS_faccessat2, SYS_landlock_create_ruleset,
		SYS_arch_prctl, SYS_memfd_create, SYS_execveat, SYS_prlimit64};
	struct nsi_filter f;

	(void)state;
	compile(docker, &f);
	for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++)
		if (native(&f, denied[i], 0, 0) != EPERM)
			fail_msg("call %d", denied[i]);
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if (native(&f, allowed[i], 0, 0) != 0)
			fail_msg("call %d", allowed[i]);
	assert_int_equal(native(&f, SYS_clone3, 0, 0), ENOSYS);
	for (int unknown = 467; unknown < 2000; unknown++)
		assert_int_equal(native(&f, unknown, 0, 0), ENOSYS);
	/* x32, and a machine of another kind */
	assert_int_equal(native(&f, 0x40000000 | SYS_read, 0, 0), ENOSYS);
	assert_int_equal(call(&f, AUDIT_ARCH_AARCH64, SYS_read, 0, 0), ENOSYS);
}

static void arguments(void **state)
{
	struct nsi_filter f;

	(void)state;
	compile(docker, &f);
	assert_int_equal(native(&f, SYS_ioctl, 0, TIOCSTI), EPERM);
	assert_int_equal(native(&f, SYS_ioctl, 0, UINT64_C(0xdead00000000) | TIOCSTI), EPERM);
	assert_int_equal(native(&f, SYS_ioctl, 0, 0x541c), EPERM); /* TIOCLINUX */
	assert_int_equal(native(&f, SYS_ioctl, 0, TIOCGWINSZ), 0);
	assert_int_equal(native(&f, SYS_clone, 0x01200011, 0), 0); /* fork(3) */
	assert_int_equal(native(&f, SYS_clone, 0x003d0f00, 0), 0); /* pthread_create(3) */
	for (unsigned flag = 0x02000000; flag < 0x80000000U; flag <<= 1)
		assert_int_equal(native(&f, SYS_clone, flag | 17, 0), EPERM);
	assert_int_equal(native(&f, SYS_clone, 0x00020000 | 0x00040000, 0), EPERM); /* CLONE_NEWNS */
	assert_int_equal(native(&f, SYS_socket, AF_INET, SOCK_STREAM), 0);
	assert_int_equal(native(&f, SYS_socket, AF_NETLINK, SOCK_RAW), 0);
	assert_int_equal(native(&f, SYS_socket, 38, 0), EPERM); /* AF_ALG */
	assert_int_equal(native(&f, SYS_socket, 40, 0), EPERM); /* AF_VSOCK */
	assert_int_equal(native(&f, SYS_socket, UINT64_C(1) << 32 | 40, 0), EPERM);
	assert_int_equal(native(&f, SYS_personality, 0xffffffff, 0), 0);
	assert_int_equal(native(&f, SYS_personality, PER_LINUX32, 0), 0);
	assert_int_not_equal(native(&f, SYS_personality, READ_IMPLIES_EXEC, 0), 0);
}

/* A 32-bit program has the same rights, by numbers of its own. */
static void other_word_size(void **state)
{
	const uint32_t i386 = AUDIT_ARCH_I386;
	struct nsi_filter f;

	(void)state;
	compile(docker, &f);
	assert_int_equal(call(&f, i386, 3, 0, 0), 0);   /* read */
	assert_int_equal(call(&f, i386, 192, 0, 0), 0); /* mmap2 */
	assert_int_equal(call(&f, i386, 102, 1, 0), 0); /* socketcall: its arguments cannot be seen */
	assert_int_equal(call(&f, i386, 359, AF_INET, 0), 0);
	assert_int_equal(call(&f, i386, 54, 0, TIOCSTI), EPERM);
	assert_int_equal(call(&f, i386, 54, 0, TIOCGWINSZ), 0);
	assert_int_equal(call(&f, i386, 120, CLONE_NEWUSER, 0), EPERM);
	assert_int_equal(call(&f, i386, 120, 17, 0), 0);
	assert_int_equal(call(&f, i386, 21, 0, 0), EPERM);   /* mount */
	assert_int_equal(call(&f, i386, 310, 0, 0), EPERM);  /* unshare */
	assert_int_equal(call(&f, i386, 288, 0, 0), EPERM);  /* keyctl */
	assert_int_equal(call(&f, i386, 435, 0, 0), ENOSYS); /* clone3 */
	assert_int_equal(call(&f, i386, 25, 0, 0), EPERM);   /* stime */
	assert_int_equal(call(&f, i386, 404, 0, 0), EPERM);  /* clock_settime64 */
	assert_int_equal(call(&f, i386, 166, 0, 0), EPERM);  /* vm86 */
}

static void kept_capabilities(void **state)
{
	struct nsi_filter f;

	(void)state;
	compile(UINT64_C(1) << CAP_SYS_ADMIN, &f);
	assert_int_equal(native(&f, SYS_mount, 0, 0), 0);
	assert_int_equal(native(&f, SYS_clone, CLONE_NEWUSER, 0), 0);
	assert_int_equal(native(&f, SYS_clone3, 0, 0), 0);
	assert_int_equal(native(&f, SYS_unshare, CLONE_NEWUSER, 0), 0);
	assert_int_equal(native(&f, SYS_reboot, 0, 0), EPERM);
	assert_int_equal(native(&f, SYS_keyctl, 0, 0), EPERM);
	assert_int_equal(native(&f, SYS_chroot, 0, 0), EPERM);
	assert_int_equal(native(&f, SYS_ioctl, 0, TIOCSTI), EPERM);
	compile(UINT64_C(1) << CAP_SYSLOG | UINT64_C(1) << CAP_SYS_TIME, &f);
	assert_int_equal(native(&f, SYS_syslog, 0, 0), 0);
	assert_int_equal(native(&f, SYS_settimeofday, 0, 0), 0);
	assert_int_equal(native(&f, SYS_bpf, 0, 0), EPERM);
	compile(all, &f);
	assert_int_equal(native(&f, SYS_init_module, 0, 0), 0);
	assert_int_equal(native(&f, SYS_kexec_load, 0, 0), EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(withheld), cmocka_unit_test(arguments),
		cmocka_unit_test(other_word_size), cmocka_unit_test(kept_capabilities)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
	return 0; /* the numbers above are x86's */
}

#endif
