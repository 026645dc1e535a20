/* The key "resources". */
#include "resources.h"
#include "spec_keys.h"

#include <string.h>

static int read_size(
	struct nsi_reader *r, const char *key, json_object *value, enum nsi_limit limit, uint64_t least)
{
	uint64_t bytes = 0;
	bool ok = false;

	if (json_object_is_type(value, json_type_string))
		ok = nsi_parse_size(json_object_get_string(value), &bytes);
	else if (json_object_is_type(value, json_type_int))
		ok = json_object_get_int64(value) >= 0 &&
		     (bytes = json_object_get_uint64(value)) <= INT64_MAX;
	if (!ok)
		return nsi_complain(r, key, -1, "for example \"512M\"",
			"\"%s\" must be a size in bytes, K, M, G or T", key);
	if (bytes < least)
		return nsi_complain(r, key, -1, NULL, "\"%s\" must be at least 1M", key);
	nsi_limit_put(&r->spec->resources, limit, bytes);
	return 0;
}

static int read_memory_max(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_size(r, key, value, NSI_MEMORY_MAX, NSI_MEMORY_LEAST);
}

static int read_memory_high(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_size(r, key, value, NSI_MEMORY_HIGH, NSI_MEMORY_LEAST);
}

static int read_memory_swap(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_size(r, key, value, NSI_MEMORY_SWAP, 0);
}

static int read_number(
	struct nsi_reader *r, const char *key, json_object *value, enum nsi_limit limit, int64_t most)
{
	int64_t number = json_object_get_int64(value);

	if (number < 1 || number > most)
		return nsi_complain(
			r, key, -1, NULL, "\"%s\" must be between 1 and %lld", key, (long long)most);
	nsi_limit_put(&r->spec->resources, limit, (uint64_t)number);
	return 0;
}

static int read_cpu_weight(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_number(r, key, value, NSI_CPU_WEIGHT, NSI_WEIGHT_MOST);
}

static int read_cpu_max(struct nsi_reader *r, const char *key, json_object *value)
{
	if (!nsi_parse_cpu(json_object_get_string(value), &r->spec->resources))
		return nsi_complain(r, key, -1, "for example \"50%\" or \"50000/100000\"",
			"\"%s\" must be a percentage of one CPU, or QUOTA/PERIOD in microseconds", key);
	return 0;
}

static int read_pids_max(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_number(r, key, value, NSI_PIDS_MAX, NSI_PIDS_MOST);
}

static int read_io_weight(struct nsi_reader *r, const char *key, json_object *value)
{
	return read_number(r, key, value, NSI_IO_WEIGHT, NSI_WEIGHT_MOST);
}

static const struct nsi_key memory_keys[] = {
	{"max", json_type_null, NULL, read_memory_max},
	{"high", json_type_null, NULL, read_memory_high},
	{"swap", json_type_null, NULL, read_memory_swap},
	{0},
};
static const struct nsi_key cpu_keys[] = {
	{"weight", json_type_int, "a whole number", read_cpu_weight},
	{"max", json_type_string, "a string", read_cpu_max},
	{0},
};
static const struct nsi_key pids_keys[] = {
	{"max", json_type_int, "a whole number", read_pids_max},
	{0},
};
static const struct nsi_key io_keys[] = {
	{"weight", json_type_int, "a whole number", read_io_weight},
	{0},
};

static int read_group(struct nsi_reader *r, const char *key, json_object *value)
{
	const struct nsi_key *keys = strcmp(key, "memory") == 0 ? memory_keys
				     : strcmp(key, "cpu") == 0  ? cpu_keys
				     : strcmp(key, "pids") == 0 ? pids_keys
								: io_keys;

	return nsi_read_object(r, value, key, keys);
}

static const struct nsi_key resource_keys[] = {
	{"memory", json_type_object, "an object", read_group},
	{"cpu", json_type_object, "an object", read_group},
	{"pids", json_type_object, "an object", read_group},
	{"io", json_type_object, "an object", read_group},
	{0},
};

int nsi_read_resources(struct nsi_reader *r, const char *key, json_object *value)
{
	return nsi_read_object(r, value, key, resource_keys);
}
