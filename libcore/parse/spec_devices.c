/* The key "devices". */
#include "../base/str.h"
#include "mounts.h"
#include "spec_keys.h"

#include <string.h>

static struct nsi_device *current(struct nsi_reader *r)
{
	return &r->spec->devices[r->spec->n_devices];
}

static int read_path(struct nsi_reader *r, const char *key, int index, const char *text, char ret[128])
{
	char normal[1024];

	if (!nsi_normal_path(text, normal, sizeof(normal)) || !nsi_path_below(normal, "/dev") ||
		strcmp(normal, "/dev") == 0 || !nsi_copy(ret, sizeof(current(r)->path), normal))
		return nsi_complain(r, key, index, "for example \"/dev/fuse\"",
			"a device must be a path below /dev, of at most 127 characters");
	return 0;
}

/* What every container has there, or lives by. */
static bool is_ours(const char *target)
{
	static const char *const ours[] = {"/dev/pts", "/dev/ptmx", "/dev/shm", "/dev/mqueue", "/dev/.nsinit",
		"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/fd",
		"/dev/stdin", "/dev/stdout", "/dev/stderr"};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (nsi_path_below(target, ours[i]))
			return true;
	return false;
}

static int path_of_host(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_path(r, key, -1, json_object_get_string(value), current(r)->path);
}

static int path_inside(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_path(r, key, -1, json_object_get_string(value), current(r)->target);
}

static int read_permissions(struct nsi_reader *r, const char *key, json_object *value)
{
	const char *text = json_object_get_string(value);

	current(r)->access = strcmp(text, "r") == 0    ? NSI_DEVICE_READ
			     : strcmp(text, "w") == 0  ? NSI_DEVICE_WRITE
			     : strcmp(text, "rw") == 0 ? NSI_DEVICE_READ | NSI_DEVICE_WRITE
						       : 0;
	if (!current(r)->access)
		return nsi_complain(r, key, -1, "device nodes made inside do not work: there is no \"m\"",
			"\"permissions\" must be \"r\", \"w\" or \"rw\"");
	return 0;
}

static int read_optional(struct nsi_reader *r, const char *key, json_object *value)
{
	(void)key;
	current(r)->optional = json_object_get_boolean(value);
	return 0;
}

static const struct nsi_key device_keys[] = {
	{"path", json_type_string, "a string", path_of_host},
	{"target", json_type_string, "a string", path_inside},
	{"permissions", json_type_string, "a string", read_permissions},
	{"optional", json_type_boolean, "true or false", read_optional},
	{0},
};

static int read_device(struct nsi_reader *r, int index, json_object *entry)
{
	struct nsi_device *d;
	int res;

	if (r->spec->n_devices == NSI_MAX_DEVICES)
		return nsi_complain(r, "devices", index, NULL, "more than %d devices", NSI_MAX_DEVICES);
	d = current(r);
	d->access = NSI_DEVICE_READ | NSI_DEVICE_WRITE;
	if (json_object_is_type(entry, json_type_string))
		res = read_path(r, "devices", index, json_object_get_string(entry), d->path);
	else if (json_object_is_type(entry, json_type_object))
		res = nsi_read_entry(r, "devices", index, entry, device_keys);
	else
		return nsi_complain(r, "devices", index, NULL,
			"entry %d of \"devices\" must be a string or an object", index + 1);
	if (res < 0)
		return res;
	if (!d->path[0])
		return nsi_complain(r, "devices", index, NULL, "the device lacks \"path\"");
	if (!d->target[0])
		nsi_copy_array(d->target, d->path);
	if (is_ours(d->target))
		return nsi_complain(r, "devices", index, "every container has its own",
			"\"%s\" is not to be replaced", d->target);
	for (int i = 0; i < r->spec->n_devices; i++)
		if (nsi_path_below(r->spec->devices[i].target, d->target) ||
			nsi_path_below(d->target, r->spec->devices[i].target))
			return nsi_complain(
				r, "devices", index, NULL, "a second device on \"%s\"", d->target);
	r->spec->n_devices++;
	return 0;
}

int nsi_read_devices(struct nsi_reader *r, const char *key, json_object *value)
{
	int res = 0;

	(void)key;
	for (size_t i = 0; res == 0 && i < json_object_array_length(value); i++)
		res = read_device(r, (int)i, json_object_array_get_idx(value, i));
	return res;
}
