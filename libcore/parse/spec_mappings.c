/* The keys "uid_mappings" and "gid_mappings". */
#include "../base/compat.h"
#include "spec_keys.h"

#include <string.h>

enum { TTY_GID = 5 };

static const int64_t last_id = 4294967294; /* (uid_t)-1 is no id */

static struct nsi_idmap *maps(struct nsi_reader *r, const char *key, int **ret_n)
{
	struct nsi_ids *ids = &r->spec->ids;
	bool gids = strncmp(key, "gid", 3) == 0;

	*ret_n = gids ? &ids->n_gids : &ids->n_uids;
	return gids ? ids->gids : ids->uids;
}

static int read_number(struct nsi_reader *r, const char *key, json_object *value)
{
	int64_t number = json_object_get_int64(value), least = strcmp(key, "size") == 0;

	if (number < least || number > last_id)
		return nsi_complain(
			r, key, -1, NULL, "\"%s\" must be between %d and 4294967294", key, (int)least);
	return 0;
}

static const struct nsi_key mapping_keys[] = {
	{"container_id", json_type_int, "a whole number", read_number},
	{"host_id", json_type_int, "a whole number", read_number},
	{"size", json_type_int, "a whole number", read_number},
	{0},
};

static bool overlap(uint32_t a, uint32_t a_size, uint32_t b, uint32_t b_size)
{
	return a < (uint64_t)b + b_size && b < (uint64_t)a + a_size;
}

static int add_mapping(struct nsi_reader *r, const char *list, int index, json_object *entry)
{
	json_object *found[3] = {0};
	int *n;
	struct nsi_idmap *map = maps(r, list, &n);

	for (int i = 0; i < 3; i++)
		if (!json_object_object_get_ex(entry, mapping_keys[i].name, &found[i]))
			return nsi_complain_entry(
				r, list, index, NULL, "the mapping lacks \"%s\"", mapping_keys[i].name);
	const struct nsi_idmap one = {.inside = (uint32_t)json_object_get_int64(found[0]),
		.outside = (uint32_t)json_object_get_int64(found[1]),
		.count = (uint32_t)json_object_get_int64(found[2])};
	if ((int64_t)one.inside + one.count - 1 > last_id || (int64_t)one.outside + one.count - 1 > last_id)
		return nsi_complain_entry(r, list, index, NULL, "the mapping goes beyond the id 4294967294");
	for (int i = 0; i < *n; i++)
		if (overlap(map[i].inside, map[i].count, one.inside, one.count) ||
			overlap(map[i].outside, map[i].count, one.outside, one.count))
			return nsi_complain_entry(
				r, list, index, NULL, "the mapping has ids in common with entry %d", i + 1);
	map[(*n)++] = one;
	return 0;
}

static int read_list(struct nsi_reader *r, const char *key, json_object *list,
	int (*one)(struct nsi_reader *, int, json_object *))
{
	if (json_object_array_length(list) > NSI_MAX_IDMAP)
		return nsi_complain(r, key, NSI_MAX_IDMAP, NULL, "more than %d mappings", NSI_MAX_IDMAP);
	return nsi_read_objects(r, key, list, one);
}

static int one_uid(struct nsi_reader *r, int index, json_object *entry)
{
	int res = nsi_read_object(r, entry, "", mapping_keys);

	return res < 0 ? res : add_mapping(r, "uid_mappings", index, entry);
}

static int one_gid(struct nsi_reader *r, int index, json_object *entry)
{
	int res = nsi_read_object(r, entry, "", mapping_keys);

	return res < 0 ? res : add_mapping(r, "gid_mappings", index, entry);
}

int nsi_read_uid_mappings(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_list(r, key, value, one_uid);
}

int nsi_read_gid_mappings(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_list(r, key, value, one_gid);
}

static bool maps_id(const struct nsi_idmap *map, int n, uint32_t id)
{
	for (int i = 0; i < n; i++)
		if (id >= map[i].inside && id - map[i].inside < map[i].count)
			return true;
	return false;
}

int nsi_check_mappings(struct nsi_reader *r)
{
	const struct nsi_ids *ids = &r->spec->ids;
	const char *key = ids->n_uids ? "uid_mappings" : "gid_mappings";

	if (!ids->n_uids && !ids->n_gids)
		return 0;
	if (!(r->spec->namespaces & CLONE_NEWUSER))
		return nsi_complain(r, key, -1, "add \"NEWUSER\" to \"namespaces\"",
			"\"%s\" needs a user namespace", key);
	if (!ids->n_uids || !ids->n_gids)
		return nsi_complain(r, key, -1, NULL, "\"uid_mappings\" and \"gid_mappings\" go together");
	if (!maps_id(ids->uids, ids->n_uids, 0))
		return nsi_complain(
			r, "uid_mappings", -1, "root makes the container, inside", "uid 0 is not mapped");
	if (!maps_id(ids->gids, ids->n_gids, 0) || !maps_id(ids->gids, ids->n_gids, TTY_GID))
		return nsi_complain(
			r, "gid_mappings", -1, "gid 5 is that of terminals", "gid 0 or 5 is not mapped");
	return 0;
}
