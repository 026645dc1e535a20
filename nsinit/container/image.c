#include "image.h"

#include "../../libcore/base/io.h"

#include <errno.h>
#include <stdlib.h>

enum { ACCOUNTS_MAX = 1024 * 1024 };

/* What somebody inside has put there is as good as none; what the host lacks is not. */
static bool is_the_hosts_fault(int r)
{
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE || r == -EIO;
}

int image_read(int rootfd, const char *path, char **ret, struct nsi_error *err)
{
	size_t len;
	int r = nsi_read_in_root(rootfd, path, path, ACCOUNTS_MAX, ret, &len, err);

	/* An empty one too: it may be the mount point that an earlier start has made. */
	if (r == 0 && len == 0) {
		free(*ret);
		*ret = NULL;
	}
	return is_the_hosts_fault(r) ? r : 0;
}

int image_read_all(int view, struct nsi_image *image, struct nsi_error *err)
{
	int r = image_read(view, "etc/passwd", &image->passwd, err);

	if (r == 0)
		r = image_read(view, "etc/group", &image->group, err);
	if (r == 0)
		r = image_read(view, "etc/hosts", &image->hosts, err);
	return r < 0 ? r : image_read(view, "etc/nsswitch.conf", &image->nsswitch, err);
}

void image_free(struct nsi_image *image)
{
	free(image->passwd);
	free(image->group);
	free(image->hosts);
	free(image->nsswitch);
	free(image->host_resolv_conf);
}
