/* What a container gets of the machine: what container.json asks for, within what the policy allows. */
#include "plan.h"

#include "../parse/resources.h"

#include <stdio.h>
#include <string.h>

static int exceed(
	struct nsi_plan *plan, const struct nsi_decision *d, enum nsi_limit limit, struct nsi_error *err)
{
	char asked[48], most[48];
	size_t used = strlen(plan->limits_note);

	nsi_limit_text(&plan->resources, limit, asked, sizeof(asked));
	nsi_limit_text(&d->limits, limit, most, sizeof(most));
	if (!d->clamp) {
		nsi_failf(err, EPERM, "planning", "container.json",
			"ask for less, or set clamp = true in the policy's limits",
			"\"resources\" asks for %s=%s, and the policy allows %s", nsi_limit_file(limit),
			asked, most);
		return nsi_error_reason(err, "limits");
	}
	snprintf(plan->limits_note + used, sizeof(plan->limits_note) - used, "%s%s=%s clamped to %s",
		used ? ", " : "", nsi_limit_file(limit), asked, most);
	return 0;
}

int nsi_plan_resources(struct nsi_plan *plan, const struct nsi_resources *asked, const struct nsi_decision *d,
	struct nsi_error *err)
{
	plan->resources = *asked;
	if (!d)
		return 0;
	plan->session_resources = d->session_limits;
	plan->resources_optional = d->best_effort;
	for (int i = 0; i < NSI_LIMITS; i++) {
		enum nsi_limit limit = (enum nsi_limit)i;

		if (!nsi_limit_set(&d->limits, limit))
			continue;
		if (nsi_limit_set(asked, limit)) {
			if (!nsi_limit_exceeds(asked, &d->limits, limit))
				continue;
			int r = exceed(plan, d, limit, err);
			if (r < 0)
				return r;
		}
		nsi_limit_put(&plan->resources, limit, d->limits.value[limit]);
		if (limit == NSI_CPU_MAX)
			plan->resources.cpu_period = d->limits.cpu_period;
	}
	return 0;
}
