#include "oci.h"

#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/base/io.h"
#include "oci_json.h"
#include "unpack.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_JSON = 4 * 1024 * 1024, MAX_INDEXES = 3 };

/* "DIR:TAG", unless a directory has all of that for a name. */
static int open_layout(const char *name, char dir[PATH_MAX], const char **ret_tag, struct nsi_error *err)
{
	int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *colon = strrchr(name, ':');

	*ret_tag = NULL;
	snprintf(dir, PATH_MAX, "%s", name);
	if (fd < 0 && colon) {
		snprintf(dir, PATH_MAX, "%.*s", (int)(colon - name), name);
		*ret_tag = colon + 1;
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	return fd < 0 ? nsi_fail(err, errno, "opening", dir, NULL) : fd;
}

static void blob_path(const char *digest, char path[96])
{
	snprintf(path, 96, "blobs/sha256/%s", digest);
}

/* A small one, checked against its name. */
static int read_blob(int layout, const char *digest, char **ret_text, struct nsi_error *err)
{
	char path[96], sum[UNPACK_SHA256];
	cleanup_free char *text = NULL;
	size_t len;

	blob_path(digest, path);
	int r = nsi_read_in_root(layout, path, path, MAX_JSON, &text, &len, err);
	if (r == 0)
		r = sha256_of(text, len, sum, err);
	if (r < 0)
		return r;
	if (strcmp(sum, digest) != 0)
		return nsi_failf(err, EBADMSG, "reading", path, "fetch the image again",
			"its sum is not the one that the image says");
	*ret_text = text;
	text = NULL;
	return 0;
}

static int find_manifest(int layout, const char *tag, struct oci_manifest *ret, struct nsi_error *err)
{
	cleanup_free char *text = NULL;
	char digest[OCI_DIGEST], path[96] = "index.json";
	bool index = true;
	size_t len;
	int r = nsi_read_in_root(layout, path, path, MAX_JSON, &text, &len, err);

	for (int i = 0; r == 0 && index && i < MAX_INDEXES; i++) {
		r = oci_read_index(text, path, tag, digest, &index, err);
		if (r < 0)
			return r;
		tag = NULL; /* those of an index below have none: they differ by architecture */
		blob_path(digest, path);
		free(text);
		text = NULL;
		r = read_blob(layout, digest, &text, err);
	}
	return r < 0 ? r : oci_read_manifest(text, path, ret, err);
}

static int unpack_layer(int layout, const struct oci_manifest *m, int i, int root, struct nsi_error *err)
{
	char path[96], what[64];
	struct stat st;

	blob_path(m->layers[i], path);
	snprintf(what, sizeof(what), "layer %d of %d", i + 1, m->n_layers);
	cleanup_fd int fd = nsi_openat2(
		layout, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	if (fd < 0 || fstat(fd, &st) < 0)
		return nsi_fail(err, errno, "opening", path, NULL);
	if (!S_ISREG(st.st_mode))
		return nsi_failf(err, EINVAL, "opening", path, NULL, "not a regular file");
	return unpack(&(struct unpack){.root = root,
			      .archive = fd,
			      .shown = path,
			      .what = what,
			      .sha256 = m->layers[i],
			      .layer = true},
		err);
}

int oci_unpack(const char *name, int root, char **ret_config, struct nsi_error *err)
{
	cleanup_free struct oci_manifest *m = calloc(1, sizeof(*m));
	char dir[PATH_MAX];
	const char *tag = NULL;

	if (!m)
		return nsi_fail(err, ENOMEM, "reading", name, NULL);
	int r = open_layout(name, dir, &tag, err);
	if (r < 0)
		return r;
	cleanup_fd int layout = r;
	r = find_manifest(layout, tag, m, err);
	for (int i = 0; r == 0 && i < m->n_layers; i++)
		r = unpack_layer(layout, m, i, root, err);
	return r < 0 ? r : read_blob(layout, m->config, ret_config, err);
}
