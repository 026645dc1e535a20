/* nsinit doctor: what containers need of the kernel, and limits of its control groups. */
#include "../../libcore/act/cgroup.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/base/str.h"
#include "../../libcore/parse/proc.h"
#include "../../libcore/parse/resources.h"
#include "doctor.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>

enum { OLDEST = 5 << 16 | 12 };

static bool is_number(const char *path, unsigned long long number)
{
	unsigned long long n;
	char text[64];

	return nsi_cgroup_read(AT_FDCWD, path, text, sizeof(text)) > 0 && nsi_counter(text, "", &n) &&
	       n == number;
}

static void judge_version(struct doctor *d)
{
	struct utsname name;
	unsigned version;

	if (uname(&name) == 0 && nsi_parse_version(name.release, &version) && version < OLDEST)
		doctor_find(d, DOCTOR_ERROR, "kernel-old", NULL, 0, "boot Linux 5.12 or later",
			"this is Linux %s: containers cannot be made", name.release);
}

static void judge_calls(struct doctor *d)
{
	static const char *const calls[][2] = {{"openat2", "5.6"}, {"open_tree", "5.2"},
		{"move_mount", "5.2"}, {"fsopen", "5.2"}, {"mount_setattr", "5.12"}, {"clone3", "5.3"},
		{"pidfd_open", "5.3"}, {"pidfd_send_signal", "5.1"}, {"close_range", "5.9"}};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (!nsi_kernel_has(calls[i][0]))
			doctor_find(d, DOCTOR_ERROR, "kernel-call", calls[i][0], 0,
				"boot a later kernel; or run nsinit outside of what filters system calls "
				"here",
				"the system call %s (Linux %s) is not to be had: containers cannot be made",
				calls[i][0], calls[i][1]);
}

static void judge_user_namespaces(struct doctor *d)
{
	if (access("/proc/self/ns/user", F_OK) < 0)
		doctor_find(d, DOCTOR_ERROR, "no-user-namespaces", NULL, 0,
			"boot a kernel with CONFIG_USER_NS",
			"the kernel has no user namespaces: logins are refused unless userns = \"off\"");
	else if (is_number("/proc/sys/user/max_user_namespaces", 0))
		doctor_find(d, DOCTOR_ERROR, "no-user-namespaces", "/proc/sys/user/max_user_namespaces", 0,
			"sysctl -w user.max_user_namespaces=15000, and put it into /etc/sysctl.d",
			"it is 0: logins are refused unless userns = \"off\"");
	if (is_number("/proc/sys/kernel/unprivileged_userns_clone", 0) ||
		is_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 1))
		doctor_find(d, DOCTOR_NOTE, "no-rootless", "/proc/sys/kernel", 0,
			"kernel.unprivileged_userns_clone = 1; kernel.apparmor_restrict_unprivileged_userns "
			"= 0",
			"ordinary users cannot make user namespaces: \"nsinit exec\" is root's alone; logins "
			"are not "
			"concerned");
}

static void judge_seccomp(struct doctor *d)
{
	if (!nsi_kernel_has("seccomp") || access("/proc/sys/kernel/seccomp/actions_avail", F_OK) < 0)
		doctor_find(d, DOCTOR_ERROR, "no-seccomp", NULL, 0,
			"boot a kernel with CONFIG_SECCOMP_FILTER, or say \"seccomp\": \"off\"",
			"the kernel has no system call filters: containers cannot be made");
}

/* Without it the peer is opened by its number, and compared. */
static void judge_peer(struct doctor *d)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	cleanup_fd int peer = nsi_peer_pidfd(pair[0]);
	if (peer < 0)
		doctor_find(d, DOCTOR_NOTE, "no-peer-pidfd", NULL, 0, "none is needed; Linux 6.5 has it",
			"SO_PEERPIDFD is not to be had: nsinitd checks by number who has connected");
	close(pair[0]);
	close(pair[1]);
}

/* What recorders need of it, where there are any. */
static void judge_recording(struct doctor *d)
{
	bool records = false;

	for (int i = 0; d->policy && i < d->policy->n_rules; i++)
		records |= d->policy->rules[i].options.recording.tty;
	if (records && (access("/proc/sys/fs/dir-notify-enable", F_OK) < 0 ||
			       is_number("/proc/sys/fs/dir-notify-enable", 0)))
		doctor_find(d, DOCTOR_ERROR, "record-dnotify", "/proc/sys/fs/dir-notify-enable", 0,
			"sysctl -w fs.dir-notify-enable=1, or boot a kernel with CONFIG_DNOTIFY",
			"recorders do not hear of terminals: sshd refuses recorded users");
	if (records && is_number("/proc/sys/kernel/yama/ptrace_scope", 3))
		doctor_find(d, DOCTOR_WARNING, "record-ptrace", "/proc/sys/kernel/yama/ptrace_scope", 0,
			"boot with kernel.yama.ptrace_scope = 2",
			"recorders cannot hold sshd's processes: last lines may be recorded and not shown, "
			"and with record_required sshd refuses recorded users");
}

/* ------------------------------------------------------------------ control groups */

/* "memory, pids": those of the limits that the hierarchy has not. */
static bool missing_controllers(uint32_t limits, const char *mount, char *text, size_t size)
{
	char path[64], have[512] = "";

	text[0] = '\0';
	if (mount) {
		snprintf(path, sizeof(path), "%s/cgroup.controllers", mount);
		nsi_cgroup_read(AT_FDCWD, path, have, sizeof(have));
	}
	for (int i = 0; i < NSI_LIMITS; i++) {
		const char *controller = nsi_limit_controller((enum nsi_limit)i);
		size_t used = strlen(text);

		if (limits & UINT32_C(1) << i && !nsi_has_word(have, controller) && !strstr(text, controller))
			snprintf(text + used, size - used, "%s%s", used ? ", " : "", controller);
	}
	return text[0] != '\0';
}

static void judge_groups(struct doctor *d)
{
	static const char fix[] = "boot with cgroup v2 alone: systemd.unified_cgroup_hierarchy=1";
	const char *mount = nsi_cgroup_mount();
	char names[64];

	if (missing_controllers(d->limits, mount, names, sizeof(names)))
		doctor_find(d, DOCTOR_ERROR, "cgroup-controller", mount ? mount : "/sys/fs/cgroup", 0, fix,
			"limits are asked for, and these controllers of cgroup v2 are not to be had: %s; "
			"containers "
			"are refused",
			names);
	else if (missing_controllers(d->limits_best_effort, mount, names, sizeof(names)))
		doctor_find(d, DOCTOR_WARNING, "cgroup-controller", mount ? mount : "/sys/fs/cgroup", 0, fix,
			"limits are asked for, and these controllers of cgroup v2 are not to be had: %s; "
			"they are left "
			"out",
			names);
	else if (!mount)
		doctor_find(d, DOCTOR_NOTE, "no-cgroup-v2", "/sys/fs/cgroup", 0, fix,
			"cgroup v2 is not mounted: limits could not be kept");
}

void doctor_kernel(struct doctor *d)
{
	judge_version(d);
	judge_calls(d);
	judge_user_namespaces(d);
	judge_seccomp(d);
	judge_peer(d);
	judge_recording(d);
	judge_groups(d);
}
