/* nsinit check: what of a container is allowed, and weak. */
#include "../../libcore/base/compat.h"
#include "../../libcore/parse/names.h"
#include "../console/show.h"
#include "../container/filter.h"
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void check_warn(struct check_warnings *w, const char *code, const char *remedy, const char *message, ...)
{
	struct check_warning *new = &w->list[w->n];
	va_list ap;

	if (w->n == CHECK_MAX_WARNINGS)
		return;
	va_start(ap, message);
	vsnprintf(new->message, sizeof(new->message), message, ap);
	va_end(ap);
	make_printable(new->message);
	snprintf(new->code, sizeof(new->code), "%s", code);
	snprintf(new->remedy, sizeof(new->remedy), "%s", remedy);
	new->line = w->line;
	w->n++;
}

void check_warn_error(
	struct check_warnings *w, const char *code, const char *what, const struct nsi_error *err)
{
	check_warn(w, code, err->hint[0] ? err->hint : "look at what is named there", "%s: %s %s: %s", what,
		err->step, err->object, err->cause);
}

/* ------------------------------------------------------------------ namespaces and capabilities */

static void judge_namespaces(const struct check_container *c, struct check_warnings *w)
{
	static const struct {
		uint64_t flag;
		const char *code, *name, *what;
	} wanted[] = {
		{CLONE_NEWPID, "no-pid-namespace", "NEWPID",
			"without NEWPID it sees the host's processes, can signal them as root, and may "
			"leave some behind"},
		{CLONE_NEWIPC, "no-ipc-namespace", "NEWIPC",
			"without NEWIPC it shares message queues and shared memory with the host"},
	};
	uint64_t own = c->plan->confine.namespaces;
	char remedy[96];

	if (!(own & CLONE_NEWUSER))
		check_warn(w, "no-user-namespace",
			c->login ? "say userns = \"auto\" in the rule" : "add \"NEWUSER\" to \"namespaces\"",
			"no user namespace: uid 0 inside is uid 0 of the host%s",
			c->login ? "" : " (a login gets one unless the policy says userns = \"off\")");
	if (!(own & CLONE_NEWNET))
		check_warn(w, "host-network", "add \"NEWNET\" to \"namespaces\"; remove \"type\": \"host\"",
			"it has the host's network: services that listen on localhost, and sockets without "
			"a file, are within its reach");
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		if (own & wanted[i].flag)
			continue;
		snprintf(remedy, sizeof(remedy), "add \"%s\" to \"namespaces\"", wanted[i].name);
		check_warn(w, wanted[i].code, remedy, "%s", wanted[i].what);
	}
}

static void judge_capabilities(const struct check_container *c, struct check_warnings *w)
{
	uint64_t more = c->plan->confine.capabilities & ~nsi_capability_base();
	const char *const *names = nsi_capability_names();
	char list[800] = "";
	size_t used = 0;

	for (size_t i = 0; names[i] && used < sizeof(list); i++)
		if (more & UINT64_C(1) << nsi_capability_number(names[i]))
			used += (size_t)snprintf(list + used, sizeof(list) - used, " %s", names[i]);
	if (used)
		check_warn(w, "more-capabilities", "remove what it does not need from \"keep\"",
			"it keeps capabilities beyond the 14 of the default:%s", list);
}

/* ------------------------------------------------------------------ files of the host */

static bool is_engine_socket(const char *path)
{
	static const char *const names[] = {"docker.sock", "podman.sock", "containerd.sock", "crio.sock",
		"buildkitd.sock", "system_bus_socket", "private"};
	const char *last = strrchr(path, '/');

	for (size_t i = 0; last && i < sizeof(names) / sizeof(names[0]); i++)
		if ((i < 6 || strstr(path, "/systemd/")) && strcmp(last + 1, names[i]) == 0)
			return true;
	return false;
}

/* Where such sockets lie: a read-only mount keeps nobody from connecting to them. */
static bool holds_engine_sockets(const char *path)
{
	static const char *const names[] = {"/run", "/run/docker", "/run/podman", "/run/containerd",
		"/run/crio", "/run/buildkit", "/run/dbus", "/run/systemd"};

	if (nsi_path_below(path, "/var/run"))
		path += strlen("/var");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(path, names[i]) == 0)
			return true;
	return false;
}

/* What the host runs or trusts: at and below the first, the others as a whole. */
static bool is_of_the_host(const char *path)
{
	static const char *const below[] = {"/etc", "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64",
		"/libx32", "/boot", "/root", "/dev", "/proc", "/sys", "/run", "/var/run", "/var/lib",
		"/var/spool"};
	static const char *const exact[] = {"/", "/var", "/var/log", "/home", "/srv", "/opt"};

	for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++)
		if (nsi_path_below(path, below[i]))
			return true;
	for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++)
		if (strcmp(path, exact[i]) == 0)
			return true;
	return false;
}

static void judge_mount(const struct nsi_mount *m, struct check_warnings *w)
{
	const char *written = m->type == NSI_MOUNT_OVERLAY ? m->upper : m->source;
	bool writable = written[0] && !(m->attributes & MOUNT_ATTR_RDONLY);

	if (m->type == NSI_MOUNT_BIND && is_engine_socket(m->source)) {
		check_warn(w, "control-socket", "remove the mount",
			"%s on %s: who can connect to it can have the host do what it likes", m->source,
			m->target);
		return;
	}
	if (m->type == NSI_MOUNT_BIND && holds_engine_sockets(m->source))
		check_warn(w, "control-socket", "mount only what is needed of it",
			"%s on %s may hold sockets by which the host can be commanded, read-only or not",
			m->source, m->target);
	if (writable && is_of_the_host(written))
		check_warn(w, "writable-host-directory",
			"add \"readonly\": true, or mount only what is needed of it",
			"%s of the host is writable on %s", written, m->target);
	if (m->type == NSI_MOUNT_BIND && !(m->attributes & MOUNT_ATTR_NODEV))
		check_warn(w, "host-devices", "remove \"dev\" from \"options\"",
			"device nodes of %s work on %s", m->source, m->target);
}

/* ------------------------------------------------------------------ the whole */

static void judge_files(const struct check_container *c, struct check_warnings *w)
{
	const struct nsi_confinement *confine = &c->plan->confine;
	const struct nsi_process_spec *p = &c->spec->process;

	for (int i = 0; i < c->spec->n_mounts; i++)
		judge_mount(&c->spec->mounts[i], w);
	if (!c->spec->readonly_fs && confine->uid == 0 && !c->user_unknown &&
		!(confine->namespaces & CLONE_NEWUSER))
		check_warn(w, "writable-root", "add \"readonly_fs\": true, a \"user\", or \"NEWUSER\"",
			"root of the host's ids can write the root directory: a set-uid file made inside "
			"works on the host, for who can reach it there");
	if (p->masked.given && !p->masked.n)
		check_warn(w, "nothing-masked", "remove \"masked_paths\", or list what is to be hidden",
			"nothing of /proc and /sys is hidden: /proc/kcore, /proc/keys and others");
	if (p->readonly.given && !p->readonly.n)
		check_warn(w, "nothing-readonly", "remove \"readonly_paths\", or list what is to be kept",
			"nothing of /proc is read-only: /proc/sys, /proc/sysrq-trigger and others");
}

static void judge_profile(const struct check_container *c, struct check_warnings *w)
{
	struct nsi_error err = {0};

	if (c->spec->process.seccomp_profile[0] && filter_try(c->spec, c->plan, &err) < 0)
		check_warn_error(w, "seccomp-profile", "it could not be started with this profile", &err);
}

void check_judge_container(const struct check_container *c, struct check_warnings *w)
{
	judge_namespaces(c, w);
	judge_capabilities(c, w);
	if (!c->plan->confine.seccomp)
		check_warn(w, "seccomp-off", "remove \"seccomp\", or say \"default\"",
			"no system call filter: all of the kernel is within its reach");
	judge_profile(c, w);
	judge_files(c, w);
	if (!c->plan->confine.limits.n && !c->plan->resources.set && !c->plan->session_resources.set)
		check_warn(w, "no-limits", "add \"resources\", of memory and pids",
			"nothing limits what it uses of the machine");
}
