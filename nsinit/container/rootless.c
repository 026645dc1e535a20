#include "rootless.h"

#include "../../libcore/base/cleanup.h"
#include "container.h"

#include <fcntl.h>
#include <pwd.h>

/* With those that the host has given for it, where newuidmap(1) is there to map them. */
static void own_ids(struct nsi_ids *ids)
{
	cleanup_free char *subuid = NULL, *subgid = NULL;
	cleanup_fd int etc = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct passwd *pw = getpwuid(geteuid());

	if (access("/usr/bin/newuidmap", X_OK) == 0 && access("/usr/bin/newgidmap", X_OK) == 0) {
		image_read(etc, "subuid", &subuid);
		image_read(etc, "subgid", &subgid);
	}
	nsi_rootless_ids(subuid, subgid, pw ? pw->pw_name : NULL, geteuid(), getegid(), ids);
}

int rootless_plan(struct nsi_plan *plan, struct nsi_error *err)
{
	struct nsi_ids ids;

	own_ids(&ids);
	return nsi_plan_rootless(plan, &ids, err);
}
