#include "devices.h"

#include "../base/cleanup.h"
#include "../base/compat.h"

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* A device, or with minor ANY all of a driver. */
struct rule {
	bool block;
	uint32_t major;
	int64_t minor;
	uint32_t access; /* BPF_DEVCG_ACC_* */
};

enum { ANY = -1, READ_WRITE = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE };

/* null, zero, full, random, urandom, tty, ptmx, and terminals: Documentation/admin-guide/devices.txt. */
static const struct rule standard[] = {{false, 1, 3, READ_WRITE}, {false, 1, 5, READ_WRITE},
	{false, 1, 7, READ_WRITE}, {false, 1, 8, READ_WRITE}, {false, 1, 9, READ_WRITE},
	{false, 5, 0, READ_WRITE}, {false, 5, 2, READ_WRITE}, {false, 136, ANY, READ_WRITE}};

enum {
	N_STANDARD = sizeof(standard) / sizeof(standard[0]),
	FRAME_LENGTH = 11,
	RULE_LENGTH = 8,
	MAX_CODE = FRAME_LENGTH + RULE_LENGTH * (N_STANDARD + NSI_MAX_DEVICES)
};

struct program {
	struct bpf_insn code[MAX_CODE];
	uint32_t n;
};

/* Registers; the context is in the first when the program starts. */
enum { RESULT = BPF_REG_0, CONTEXT = BPF_REG_1, TYPE, ACCESS, MAJOR, MINOR, BEYOND };

static struct bpf_insn *emit(struct program *p, int code, int to, int from, uint32_t value)
{
	struct bpf_insn *insn = &p->code[p->n++];

	*insn = (struct bpf_insn){.code = (uint8_t)code, .imm = (int32_t)value};
	insn->dst_reg = (unsigned)to & 15U;
	insn->src_reg = (unsigned)from & 15U;
	return insn;
}

static void load(struct program *p, int to, size_t field)
{
	emit(p, BPF_LDX | BPF_MEM | BPF_W, to, CONTEXT, 0)->off = (int16_t)field;
}

static void answer(struct program *p, bool allowed)
{
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, RESULT, 0, allowed);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0);
}

static void begin(struct program *p)
{
	load(p, TYPE, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	emit(p, BPF_ALU64 | BPF_MOV | BPF_X, ACCESS, TYPE, 0);
	emit(p, BPF_ALU64 | BPF_AND | BPF_K, TYPE, 0, 0xffff);
	emit(p, BPF_ALU64 | BPF_RSH | BPF_K, ACCESS, 0, 16);
	load(p, MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
	load(p, MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
	/* To make a node is not to use it: package managers and overlays do. */
	emit(p, BPF_JMP | BPF_JNE | BPF_K, ACCESS, 0, BPF_DEVCG_ACC_MKNOD)->off = 2;
	answer(p, true);
}

/* Allow what matches; otherwise on behind it. */
static void allow(struct program *p, const struct rule *rule)
{
	uint32_t first = p->n;

	emit(p, BPF_JMP | BPF_JNE | BPF_K, TYPE, 0, rule->block ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
	emit(p, BPF_JMP | BPF_JNE | BPF_K, MAJOR, 0, rule->major);
	if (rule->minor != ANY)
		emit(p, BPF_JMP | BPF_JNE | BPF_K, MINOR, 0, (uint32_t)rule->minor);
	emit(p, BPF_ALU64 | BPF_MOV | BPF_X, BEYOND, ACCESS, 0);
	emit(p, BPF_ALU64 | BPF_AND | BPF_K, BEYOND, 0, READ_WRITE & ~rule->access);
	emit(p, BPF_JMP | BPF_JNE | BPF_K, BEYOND, 0, 0);
	answer(p, true);
	for (uint32_t i = first; i < p->n; i++)
		if (p->code[i].code == (BPF_JMP | BPF_JNE | BPF_K))
			p->code[i].off = (int16_t)(p->n - i - 1);
}

static int attach(int cgroup, const struct program *p, struct nsi_error *err)
{
	static const char license[] = "MIT";
	union bpf_attr load_attr = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE}, attach_attr = {0};

	load_attr.insns = (uint64_t)(uintptr_t)p->code;
	load_attr.insn_cnt = p->n;
	load_attr.license = (uint64_t)(uintptr_t)license;
	cleanup_fd int program = nsi_bpf(BPF_PROG_LOAD, &load_attr, sizeof(load_attr));
	if (program >= 0) {
		attach_attr.target_fd = (uint32_t)cgroup;
		attach_attr.attach_bpf_fd = (uint32_t)program;
		attach_attr.attach_type = BPF_CGROUP_DEVICE;
		attach_attr.attach_flags =
			BPF_F_ALLOW_MULTI; /* as systemd does above it: all have to agree */
		if (nsi_bpf(BPF_PROG_ATTACH, &attach_attr, sizeof(attach_attr)) == 0)
			return 0;
	}
	nsi_fail(err, errno, "filtering", "the container's devices",
		errno == EINVAL || errno == ENOSYS ? "the kernel lacks CONFIG_CGROUP_BPF" : NULL);
	return nsi_error_reason(err, "devices");
}

/* 0: it is not there, and need not be. */
static int identify(const struct nsi_device *device, struct rule *ret, struct nsi_error *err)
{
	struct stat st;

	if (stat(device->path, &st) < 0) {
		if (errno == ENOENT && device->optional)
			return 0;
		nsi_fail(err, errno, "giving the device", device->path,
			errno == ENOENT ? "or say \"optional\": true" : NULL);
		return nsi_error_reason(err, "devices");
	}
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)) {
		nsi_failf(err, ENODEV, "giving the device", device->path, NULL, "it is no device node");
		return nsi_error_reason(err, "devices");
	}
	*ret = (struct rule){
		.block = S_ISBLK(st.st_mode), .major = major(st.st_rdev), .minor = minor(st.st_rdev)};
	ret->access = (device->access & NSI_DEVICE_READ ? BPF_DEVCG_ACC_READ : 0) |
		      (device->access & NSI_DEVICE_WRITE ? BPF_DEVCG_ACC_WRITE : 0);
	return 1;
}

int nsi_devices_hold(int cgroup, const struct nsi_device *devices, int n, struct nsi_error *err)
{
	struct program program = {.n = 0};
	struct rule rule;

	begin(&program);
	for (int i = 0; i < N_STANDARD; i++)
		allow(&program, &standard[i]);
	for (int i = 0; i < n; i++) {
		int r = identify(&devices[i], &rule, err);

		if (r < 0)
			return r;
		if (r > 0 && cgroup < 0 && rule.access != READ_WRITE) {
			nsi_failf(err, ENOTSUP, "giving the device", devices[i].path,
				"or give it \"permissions\": \"rw\"",
				"less than reading and writing takes cgroup v2, which is not to be had");
			return nsi_error_reason(err, "devices");
		}
		if (r > 0)
			allow(&program, &rule);
	}
	answer(&program, false);
	return cgroup < 0 ? 0 : attach(cgroup, &program, err);
}
