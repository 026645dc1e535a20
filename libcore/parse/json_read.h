/*
 * Reading an object by a table of its keys, with errors that name the place. For the files that read
 * container.json; they alone see json-c.
 */
#ifndef NSINIT_JSON_READ_H
#define NSINIT_JSON_READ_H

#include "json_text.h"
#include "seccomp_profile.h"
#include "spec.h"

#include <json-c/json.h>

struct nsi_reader {
	const char *file, *text;
	struct nsi_spec *spec;
	struct nsi_profile *profile; /* of the two, what is read */
	struct nsi_error *err;
	char path[128]; /* of the object being read, for positions: see nsi_json_locate() */
};

struct nsi_key {
	const char *name;
	enum json_type type; /* json_type_null: more than one is taken */
	const char *expected;
	int (*read)(struct nsi_reader *r, const char *key, json_object *value);
};

/* Fail at a key, or at entry `index` of the list under it where index >= 0. */
#define nsi_complain(r, key, index, hint, ...)                                                               \
	({                                                                                                   \
		int line_, column_;                                                                          \
		nsi_json_locate((r)->text, (r)->path, key, index, &line_, &column_);                         \
		int res_ = nsi_fail_at((r)->err, (r)->file, line_, column_, hint, __VA_ARGS__);              \
		nsi_error_key((r)->err, (r)->path, key, index);                                              \
		res_;                                                                                        \
	})

/* The same at the entry of a list of objects that is being read, from where nsi_read_objects() calls. */
#define nsi_complain_entry(r, key, index, hint, ...)                                                         \
	({                                                                                                   \
		char inner_[sizeof((r)->path)];                                                              \
		nsi_leave_entry(r, inner_);                                                                  \
		int failed_ = nsi_complain(r, key, index, hint, __VA_ARGS__);                                \
		nsi_enter_entry(r, inner_);                                                                  \
		failed_;                                                                                     \
	})
void nsi_leave_entry(struct nsi_reader *r, char ret_inner[]);
void nsi_enter_entry(struct nsi_reader *r, const char inner[]);

/* The text as a JSON object, which the caller releases. */
int nsi_json_parse(const char *file, const char *text, size_t len, json_object **ret, struct nsi_error *err);

/*
 * Whether all of the text has come through: json-c leaves members out, and cuts strings, without a word when
 * memory is short. For a text that nsi_json_check() has found good.
 */
int nsi_json_whole(const char *file, const char *text, json_object *top, struct nsi_error *err);

/* Read every key of `object`, which stands at `path`, by the table; one that is not in it is an error. */
int nsi_read_object(struct nsi_reader *r, json_object *object, const char *path, const struct nsi_key *table);

/* The same of entry `index` of the list under `key`. */
int nsi_read_entry(
	struct nsi_reader *r, const char *key, int index, json_object *entry, const struct nsi_key *table);

/* Call `one` for each string of a list. */
int nsi_read_strings(struct nsi_reader *r, const char *key, json_object *list,
	int (*one)(struct nsi_reader *, const char *key, int index, const char *text));

/* Call `one` for a string, with index -1, or for each of a list of strings. */
int nsi_read_string_or_list(struct nsi_reader *r, const char *key, json_object *value,
	int (*one)(struct nsi_reader *, const char *key, int index, const char *text));

/* Call `one` for each object of a list; it reads the entry by nsi_read_object(r, entry, "", table). */
int nsi_read_objects(struct nsi_reader *r, const char *key, json_object *list,
	int (*one)(struct nsi_reader *, int index, json_object *entry));

/* Like nsi_complain() for a word that none of `names` is; `what` is "capability" or the like. */
int nsi_complain_unknown(struct nsi_reader *r, const char *key, int index, const char *what, const char *word,
	const char *const *names);

#endif
