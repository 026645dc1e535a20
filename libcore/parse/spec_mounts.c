/* The key "mounts". */
#include "../base/compat.h"
#include "../base/str.h"
#include "spec_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const type_names[] = {"bind", "tmpfs", "proc", "sysfs", "overlay", "mqueue", NULL};

/* Keys with a meaning for one type alone. */
static const struct {
	const char *key;
	unsigned types; /* bit N for type N */
} own_keys[] = {
	{"source", 1U << NSI_MOUNT_BIND},
	{"recursive", 1U << NSI_MOUNT_BIND},
	{"propagation", 1U << NSI_MOUNT_BIND},
	{"optional", 1U << NSI_MOUNT_BIND},
	{"idmap", 1U << NSI_MOUNT_BIND | 1U << NSI_MOUNT_OVERLAY},
	{"size", 1U << NSI_MOUNT_TMPFS},
	{"mode", 1U << NSI_MOUNT_TMPFS},
	{"lower", 1U << NSI_MOUNT_OVERLAY},
	{"upper", 1U << NSI_MOUNT_OVERLAY},
	{"work", 1U << NSI_MOUNT_OVERLAY},
};

static struct nsi_mount *current(struct nsi_reader *r)
{
	return &r->spec->mounts[r->spec->n_mounts];
}

static int read_type(struct nsi_reader *r, const char *key, json_object *value)
{
	const char *text = json_object_get_string(value);

	for (unsigned i = 0; type_names[i]; i++) {
		if (strcmp(type_names[i], text) == 0) {
			current(r)->type = (enum nsi_mount_type)i;
			return 0;
		}
	}
	return nsi_complain_unknown(r, key, -1, "type", text, type_names);
}

/* What this container's confinement rests on must stay what it is, and so must what leads there. */
static bool is_ours(const char *target)
{
	static const char *const exact[] = {
		"/", "/dev", "/sys", "/sys/firmware", "/.nspid", "/container.json"};
	static const char *const below[] = {"/proc", "/dev/pts", "/dev/ptmx", "/dev/.nsinit", "/dev/null",
		"/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/fd", "/dev/stdin",
		"/dev/stdout", "/dev/stderr"};

	for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++)
		if (strcmp(target, exact[i]) == 0)
			return true;
	for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++)
		if (nsi_path_below(target, below[i]))
			return true;
	return false;
}

static int read_target(struct nsi_reader *r, const char *key, json_object *value)
{
	struct nsi_mount *m = current(r);

	if (!nsi_normal_path(json_object_get_string(value), m->target, sizeof(m->target)))
		return nsi_complain(r, key, -1, NULL,
			"\"target\" must be an absolute path of at most 255 characters, without \"..\"");
	if (is_ours(m->target))
		return nsi_complain(r, key, -1, NULL, "nothing can be mounted on %s", m->target);
	return 0;
}

static int read_host_path(struct nsi_reader *r, const char *key, json_object *value, char out[1024])
{
	if (!nsi_normal_path(json_object_get_string(value), out, 1024) || strcmp(out, "/") == 0)
		return nsi_complain(r, key, -1, NULL,
			"\"%s\" must be an absolute path of the host, without \"..\" and not \"/\"", key);
	return 0;
}

static int read_source(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_host_path(r, key, value, current(r)->source);
}

static int read_upper(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_host_path(r, key, value, current(r)->upper);
}

static int read_work(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_host_path(r, key, value, current(r)->work);
}

static int one_lower(struct nsi_reader *r, const char *key, int index, const char *text)
{
	struct nsi_mount *m = current(r);
	size_t used = strlen(m->lower);
	char path[1024];

	if (!nsi_normal_path(text, path, sizeof(path)) || strcmp(path, "/") == 0)
		return nsi_complain(r, key, index, NULL,
			"\"lower\" must hold absolute paths of the host, without \"..\" and not \"/\"");
	if (index >= NSI_MAX_LOWER || used + strlen(path) + 2 > sizeof(m->lower))
		return nsi_complain(r, key, index, NULL, "\"lower\" holds more than can be mounted");
	snprintf(m->lower + used, sizeof(m->lower) - used, "%s\n", path);
	return 0;
}

static int read_lower(struct nsi_reader *r, const char *key, json_object *value)
{
	return nsi_read_strings(r, key, value, one_lower);
}

static int read_access(struct nsi_reader *r, const char *key, json_object *value)
{
	bool readonly = json_object_get_boolean(value) == (strcmp(key, "readonly") == 0);

	if (readonly)
		current(r)->attributes |= MOUNT_ATTR_RDONLY;
	return 0;
}

static int one_option(struct nsi_reader *r, const char *key, int index, const char *text)
{
	static const struct {
		const char *name;
		unsigned attribute;
		bool set;
	} options[] = {{"nosuid", MOUNT_ATTR_NOSUID, true}, {"nodev", MOUNT_ATTR_NODEV, true},
		{"noexec", MOUNT_ATTR_NOEXEC, true}, {"suid", MOUNT_ATTR_NOSUID, false},
		{"dev", MOUNT_ATTR_NODEV, false}, {"exec", MOUNT_ATTR_NOEXEC, false}};
	static const char *const names[] = {"nosuid", "nodev", "noexec", "suid", "dev", "exec", NULL};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (strcmp(options[i].name, text) != 0)
			continue;
		if (options[i].set)
			current(r)->attributes |= options[i].attribute;
		else
			current(r)->attributes &= ~options[i].attribute;
		return 0;
	}
	return nsi_complain_unknown(r, key, index, "option", text, names);
}

static int read_options(struct nsi_reader *r, const char *key, json_object *value)
{
	return nsi_read_strings(r, key, value, one_option);
}

static void add_option(struct nsi_mount *m, const char *name, const char *value)
{
	size_t used = strlen(m->options);

	snprintf(m->options + used, sizeof(m->options) - used, "%s%s=%s", used ? "," : "", name, value);
}

static int read_size(struct nsi_reader *r, const char *key, json_object *value)
{
	const char *text = json_object_get_string(value);

	if (!nsi_valid_size(text))
		return nsi_complain(r, key, -1, "for example \"64m\"",
			"\"size\" must be a number of bytes, or of k, m or g");
	add_option(current(r), key, text);
	return 0;
}

static int read_mode(struct nsi_reader *r, const char *key, json_object *value)
{
	const char *text = json_object_get_string(value);
	size_t len = strlen(text);

	if (len < 3 || len > 4 || strspn(text, "01234567") != len)
		return nsi_complain(
			r, key, -1, "for example \"0755\"", "\"mode\" must be an octal number in quotes");
	add_option(current(r), key, text);
	return 0;
}

static int read_recursive(struct nsi_reader *r, const char *key, json_object *value)
{
	(void)key;
	current(r)->recursive = json_object_get_boolean(value);
	return 0;
}

static int read_idmap(struct nsi_reader *r, const char *key, json_object *value)
{
	(void)key;
	current(r)->idmap = json_object_get_boolean(value);
	return 0;
}

static int read_optional(struct nsi_reader *r, const char *key, json_object *value)
{
	(void)key;
	current(r)->optional = json_object_get_boolean(value);
	return 0;
}

static int read_propagation(struct nsi_reader *r, const char *key, json_object *value)
{
	static const char *const names[] = {"private", "slave", NULL};
	const char *text = json_object_get_string(value);

	for (int i = 0; names[i]; i++) {
		if (strcmp(names[i], text) == 0) {
			current(r)->slave = i == 1;
			return 0;
		}
	}
	return nsi_complain_unknown(r, key, -1, "propagation", text, names);
}

static const struct nsi_key mount_keys[] = {
	{"type", json_type_string, "a string", read_type},
	{"target", json_type_string, "a string", read_target},
	{"source", json_type_string, "a string", read_source},
	{"readonly", json_type_boolean, "true or false", read_access},
	{"writable", json_type_boolean, "true or false", read_access},
	{"options", json_type_array, "a list of strings", read_options},
	{"size", json_type_string, "a string", read_size},
	{"mode", json_type_string, "a string", read_mode},
	{"recursive", json_type_boolean, "true or false", read_recursive},
	{"propagation", json_type_string, "a string", read_propagation},
	{"idmap", json_type_boolean, "true or false", read_idmap},
	{"optional", json_type_boolean, "true or false", read_optional},
	{"lower", json_type_array, "a list of strings", read_lower},
	{"upper", json_type_string, "a string", read_upper},
	{"work", json_type_string, "a string", read_work},
	{0},
};

/* Lacking keys are told at the entry itself. */
static int lacks(struct nsi_reader *r, int index, const char *key)
{
	r->path[0] = '\0';
	return nsi_complain(r, "mounts", index, NULL, "entry %d of \"mounts\" lacks \"%s\"", index + 1, key);
}

static int check_keys(struct nsi_reader *r, int index, json_object *entry)
{
	const struct nsi_mount *m = current(r);

	if (!json_object_object_get_ex(entry, "type", NULL))
		return lacks(r, index, "type");
	if (!m->target[0])
		return lacks(r, index, "target");
	if (m->type == NSI_MOUNT_BIND && !m->source[0])
		return lacks(r, index, "source");
	if (m->type == NSI_MOUNT_OVERLAY && !m->lower[0])
		return lacks(r, index, "lower");
	for (size_t i = 0; i < sizeof(own_keys) / sizeof(own_keys[0]); i++)
		if (json_object_object_get_ex(entry, own_keys[i].key, NULL) &&
			!(own_keys[i].types & 1U << m->type))
			return nsi_complain(r, own_keys[i].key, -1, NULL,
				"\"%s\" means nothing for a mount of type \"%s\"", own_keys[i].key,
				type_names[m->type]);
	if (json_object_object_get_ex(entry, "readonly", NULL) &&
		json_object_object_get_ex(entry, "writable", NULL))
		return nsi_complain(r, "writable", -1, NULL,
			"\"readonly\" and \"writable\" say the same; give one of them");
	return 0;
}

/* Both must lie on one mount for the kernel, and the one that is mapped is that of their directory. */
static int check_overlay(struct nsi_reader *r, int index, struct nsi_mount *m)
{
	size_t dir = m->upper[0] ? (size_t)(strrchr(m->upper, '/') - m->upper) : 0;

	if (!m->upper[0] && m->work[0])
		return lacks(r, index, "upper");
	if (m->upper[0] && !m->work[0])
		return lacks(r, index, "work");
	if (!m->upper[0] && strchr(m->lower, '\n') == strrchr(m->lower, '\n'))
		return nsi_complain(r, "lower", -1, NULL,
			"an overlay of one directory needs \"upper\" and \"work\", or a second directory");
	if (!m->upper[0])
		m->attributes |= MOUNT_ATTR_RDONLY;
	else if (dir == 0 || (size_t)(strrchr(m->work, '/') - m->work) != dir ||
		 strncmp(m->upper, m->work, dir) != 0 || strcmp(m->upper, m->work) == 0)
		return nsi_complain(r, "work", -1, "for example \"/srv/x/upper\" and \"/srv/x/work\"",
			"\"upper\" and \"work\" must be two directories in the same one");
	return 0;
}

static int one_mount(struct nsi_reader *r, int index, json_object *entry)
{
	struct nsi_mount *m = current(r);
	int res;

	if (index >= NSI_MAX_MOUNTS) {
		r->path[0] = '\0';
		return nsi_complain(r, "mounts", index, NULL, "more than %d mounts", NSI_MAX_MOUNTS);
	}
	m->attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	res = nsi_read_object(r, entry, "", mount_keys);
	if (res == 0)
		res = check_keys(r, index, entry);
	if (res == 0 && m->type == NSI_MOUNT_OVERLAY)
		res = check_overlay(r, index, m);
	/* The kernel's default is half of all memory. */
	if (m->type == NSI_MOUNT_TMPFS && !strstr(m->options, "size="))
		add_option(m, "size", "64m");
	r->spec->n_mounts++;
	return res;
}

int nsi_read_mounts(struct nsi_reader *r, const char *key, json_object *value)
{
	r->spec->mounts = calloc(NSI_MAX_MOUNTS + 1, sizeof(struct nsi_mount));
	if (!r->spec->mounts)
		return nsi_fail(r->err, ENOMEM, "reading", r->file, NULL);
	return nsi_read_objects(r, key, value, one_mount);
}
