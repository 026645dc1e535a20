#include "filter.h"

#include "../../libcore/act/seccomp.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/io.h"

#include <fcntl.h>
#include <signal.h>
#include <time.h>

enum { COMPILE_SECONDS = 3 };

/* On the host, and root's like the policy: what lies in a root directory could be changed from inside. */
static int load(const char *path, struct nsi_profile **ret, struct nsi_error *err)
{
	cleanup_fd int fd = -1;
	cleanup_free char *text = NULL;
	size_t len = 0;
	int r = nsi_open_trusted(path, O_RDONLY, &fd, NULL, err);

	if (r == 0)
		r = nsi_read_fd(fd, path, NSI_PROFILE_MAX_BYTES, &text, &len, err);
	return r < 0 ? r : nsi_profile_parse(path, text, len, ret, err);
}

/*
 * libseccomp (2.5.4) that memory fails in the midst of a filter does not always return: it looks for a part
 * that it does not have, without end. A supervisor would hold the container's lock for ever. Counted in
 * processor time, which no busy machine uses up for it, and ended by a signal that cannot be held back.
 */
static int limit_time(timer_t *ret, struct nsi_error *err)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
	const struct itimerspec after = {.it_value.tv_sec = COMPILE_SECONDS};

	if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, ret) < 0)
		return nsi_fail(err, errno, "making", "a timer", NULL);
	timer_settime(*ret, 0, &after, NULL);
	return 0;
}

static int compile(const char *path, struct nsi_confinement *c, struct nsi_error *err)
{
	struct nsi_profile *profile = NULL;

	if (!path[0])
		return nsi_seccomp_compile(c->capabilities, &c->filter, err);
	int r = load(path, &profile, err);
	if (r == 0)
		r = nsi_seccomp_compile_profile(profile, c->capabilities, &c->filter, err);
	nsi_profile_free(profile);
	return r < 0 ? nsi_error_reason(err, "spec") : 0;
}

int filter_make(const struct nsi_spec *spec, struct nsi_plan *plan, struct nsi_error *err)
{
	timer_t timer;

	if (!plan->confine.seccomp)
		return 0;
	int r = limit_time(&timer, err);
	if (r < 0)
		return r;
	r = compile(spec->process.seccomp_profile, &plan->confine, err);
	timer_delete(timer);
	return r;
}
