/* What a container.json asks for, within what the policy allows. */
#include "plan.h"

#include "../base/compat.h"
#include "../parse/names.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct judge {
	const struct nsi_decision *decision;
	char *note; /* of NSI_NOTE_SIZE */
	struct nsi_error *err;
};

/* One thing too many: 0 where it is to be taken away. */
__attribute__((format(printf, 2, 3))) static int exceeds(struct judge *j, const char *format, ...)
{
	size_t used = strlen(j->note);
	char what[256];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	if (!j->decision->clamp) {
		nsi_failf(j->err, EPERM, "planning", "container.json",
			"ask for less, or change \"limits\" in the policy, or set clamp = true there",
			"%s, which the policy does not allow", what);
		return nsi_error_reason(j->err, "limits");
	}
	snprintf(j->note + used, NSI_NOTE_SIZE - used, "%s%s: clamped", used ? ", " : "", what);
	return 0;
}

static int judge_capabilities(struct judge *j, struct nsi_spec *spec)
{
	uint64_t more = spec->capabilities & ~j->decision->ceilings.capabilities;
	const char *const *names = nsi_capability_names();
	int r = 0;

	if (!j->decision->ceilings.capabilities_given)
		return 0;
	for (int i = 0; r == 0 && names[i]; i++)
		if (more & (UINT64_C(1) << nsi_capability_number(names[i])))
			r = exceeds(j, "it keeps the capability %s", names[i]);
	spec->capabilities &= ~more;
	spec->process.ambient &= ~more;
	return r;
}

static int judge_namespaces(struct judge *j, struct nsi_spec *spec)
{
	const uint64_t optional = CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
	uint64_t lacks = optional & ~spec->namespaces & ~j->decision->ceilings.namespaces;
	const char *const *names = nsi_namespace_names();
	int r = 0;

	if (!j->decision->ceilings.namespaces_given)
		return 0;
	for (int i = 0; r == 0 && names[i]; i++)
		if (lacks & nsi_namespace_flag(names[i]))
			r = exceeds(j, "it leaves out %s", names[i]);
	spec->namespaces |= lacks;
	return r;
}

/* Names and patterns as paths: whichever of '.' and '/' separates. */
static bool sysctl_allowed(const char *name, const char *patterns)
{
	char wanted[128], pattern[128], path[128];

	if (!nsi_sysctl_path(name, wanted, sizeof(wanted)))
		return false;
	for (const char *p = patterns; *p; p += strcspn(p, "\n") + 1) {
		snprintf(pattern, sizeof(pattern), "%.*s", (int)strcspn(p, "\n"), p);
		if (nsi_sysctl_path(pattern, path, sizeof(path)) && fnmatch(path, wanted, FNM_NOESCAPE) == 0)
			return true;
	}
	return false;
}

static int judge_sysctls(struct judge *j, struct nsi_spec *spec)
{
	struct nsi_process_spec *p = &spec->process;
	int kept = 0, r = 0;

	if (!j->decision->ceilings.sysctls_given)
		return 0;
	for (int i = 0; r == 0 && i < p->n_sysctls; i++) {
		if (sysctl_allowed(p->sysctls[i].name, j->decision->ceilings.sysctls))
			p->sysctls[kept++] = p->sysctls[i];
		else
			r = exceeds(j, "it sets %s", p->sysctls[i].name);
	}
	p->n_sysctls = kept;
	return r;
}

static bool device_allowed(const char *path, const char *patterns)
{
	char pattern[512];

	for (const char *p = patterns; *p; p += strcspn(p, "\n") + 1) {
		snprintf(pattern, sizeof(pattern), "%.*s", (int)strcspn(p, "\n"), p);
		if (fnmatch(pattern, path, FNM_NOESCAPE | FNM_PATHNAME | FNM_PERIOD) == 0)
			return true;
	}
	return false;
}

/* As with mounts: what the policy does not name is not given. */
static int judge_devices(struct judge *j, struct nsi_spec *spec)
{
	int kept = 0, r = 0;

	for (int i = 0; r == 0 && i < spec->n_devices; i++) {
		if (device_allowed(spec->devices[i].path, j->decision->ceilings.devices))
			spec->devices[kept++] = spec->devices[i];
		else
			r = exceeds(j, "it has the device %s", spec->devices[i].path);
	}
	spec->n_devices = kept;
	return r;
}

int nsi_apply_ceilings(
	struct nsi_spec *spec, const struct nsi_decision *decision, char *note, struct nsi_error *err)
{
	struct judge j = {.decision = decision, .note = note, .err = err};
	int r = judge_capabilities(&j, spec);

	if (r == 0)
		r = judge_namespaces(&j, spec);
	if (r == 0)
		r = judge_sysctls(&j, spec);
	return r < 0 ? r : judge_devices(&j, spec);
}
