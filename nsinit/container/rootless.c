#include "rootless.h"

#include "../../libcore/base/cleanup.h"
#include "image.h"

#include <fcntl.h>
#include <pwd.h>

/* With those that the host has given for it, where newuidmap(1) is there to map them. */
static int own_ids(struct nsi_ids *ids, struct nsi_error *err)
{
	cleanup_free char *subuid = NULL, *subgid = NULL;
	cleanup_fd int etc = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct passwd *pw = getpwuid(geteuid());
	int r = 0;

	if (access("/usr/bin/newuidmap", X_OK) == 0 && access("/usr/bin/newgidmap", X_OK) == 0) {
		r = image_read(etc, "subuid", &subuid, err);
		if (r == 0)
			r = image_read(etc, "subgid", &subgid, err);
	}
	if (r == 0)
		nsi_rootless_ids(subuid, subgid, pw ? pw->pw_name : NULL, geteuid(), getegid(), ids);
	return r;
}

int rootless_plan(struct nsi_plan *plan, struct nsi_error *err)
{
	struct nsi_ids ids;
	int r = own_ids(&ids, err);

	return r < 0 ? r : nsi_plan_rootless(plan, &ids, err);
}
