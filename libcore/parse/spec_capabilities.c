/* The key "capabilities". */
#include "names.h"
#include "spec_keys.h"

static int capability(struct nsi_reader *r, const char *key, int index, const char *text, uint64_t *ret_bit)
{
	int number = nsi_capability_number(text);

	if (number < 0)
		return nsi_complain_unknown(r, key, index, "capability", text, nsi_capability_names());
	*ret_bit = UINT64_C(1) << number;
	return 0;
}

static int one_drop(struct nsi_reader *r, const char *key, int index, const char *text)
{
	uint64_t bit = 0;
	int res = capability(r, key, index, text, &bit);

	r->spec->capabilities &= ~bit;
	return res;
}

static int one_keep(struct nsi_reader *r, const char *key, int index, const char *text)
{
	uint64_t bit = 0;
	int res = capability(r, key, index, text, &bit);

	r->spec->capabilities |= bit;
	return res;
}

static int one_ambient(struct nsi_reader *r, const char *key, int index, const char *text)
{
	uint64_t bit = 0;
	int res = capability(r, key, index, text, &bit);

	r->spec->process.ambient |= bit;
	return res;
}

static int read_ambient(struct nsi_reader *r, const char *key, json_object *value)
{
	return nsi_read_strings(r, key, value, one_ambient);
}

static int read_drop(struct nsi_reader *r, const char *key, json_object *value)
{
	return nsi_read_strings(r, key, value, one_drop);
}

static int read_keep(struct nsi_reader *r, const char *key, json_object *value)
{
	r->spec->capabilities = 0;
	return nsi_read_strings(r, key, value, one_keep);
}

static const struct nsi_key capability_keys[] = {
	{"keep", json_type_array, "a list of capability names", read_keep},
	{"drop", json_type_array, "a list of capability names", read_drop},
	{"ambient", json_type_array, "a list of capability names", read_ambient},
	{0},
};

int nsi_read_capabilities(struct nsi_reader *r, const char *key, json_object *value)
{
	json_object *other;

	if (json_object_is_type(value, json_type_array))
		return read_drop(r, key, value); /* what the list meant originally: capabilities to drop */
	if (!json_object_is_type(value, json_type_object))
		return nsi_complain(r, key, -1, NULL,
			"\"capabilities\" must be a list of names to drop, or an object with \"keep\" or "
			"\"drop\", and \"ambient\"");
	if (json_object_object_get_ex(value, "keep", &other) &&
		json_object_object_get_ex(value, "drop", &other))
		return nsi_complain(r, key, -1, "\"keep\" already names all that remains",
			"\"capabilities\" has both \"keep\" and \"drop\"");
	int res = nsi_read_object(r, value, key, capability_keys);
	if (res == 0 && (r->spec->process.ambient & ~r->spec->capabilities))
		return nsi_complain(r, key, -1, "keep it too",
			"\"ambient\" names a capability that the container does not keep");
	return res;
}
