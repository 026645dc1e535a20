#include "machine.h"

#include "../../libcore/base/log.h"
#include "../../libcore/process/machined.h"

#include <poll.h>
#include <stdlib.h>
#include <syslog.h>

struct machine {
	struct nsi_machined asked;
	const struct container *c;
};

static void complain(const struct container *c, const struct nsi_error *err)
{
	char text[512];

	nsi_log("nsinit", LOG_WARNING, "container=%s reason=machined %s", c->id,
		nsi_error_text(err, text, sizeof(text)));
}

static void answered(struct loop *loop, int fd, void *data)
{
	struct machine *m = data;
	struct nsi_error err = {0};

	loop_forget(loop, fd);
	if (nsi_machined_finish(&m->asked, &err) < 0)
		complain(m->c, &err);
}

struct machine *machine_tell(struct loop *loop, const struct container *c, const struct nsi_login *who)
{
	struct machine *m = who->decision.machined ? calloc(1, sizeof(*m)) : NULL;
	struct nsi_error err = {0};

	if (!m)
		return NULL;
	m->c = c;
	if (nsi_machined_begin(c->id, who->user.name, who->decision.rootfs, &m->asked, &err) < 0) {
		complain(c, &err);
		free(m);
		return NULL;
	}
	loop_watch(loop, m->asked.pidfd, POLLIN, answered, m);
	return m;
}

void machine_free(struct machine *m)
{
	if (m)
		nsi_machined_finish(&m->asked, NULL);
	free(m);
}
