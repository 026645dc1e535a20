#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/error.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/str.h"
#include "records.h"

#include <dirent.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { MAX_BYTES = 4 * 1024 * 1024 };

/* Of the name of a session: digits, hexadecimal digits, and what stands there. */
#define NAME "00000000T000000Z-xxxxxxxxxxxxxxxx"

enum { NAME_BYTES = sizeof(NAME) - 1, NAME_ID = sizeof("00000000T000000Z") };

static const char *text_of(json_object *o, const char *key)
{
	json_object *value = NULL;

	return json_object_object_get_ex(o, key, &value) && json_object_is_type(value, json_type_string)
		       ? json_object_get_string(value)
		       : "";
}

static long long number_of(json_object *o, const char *key)
{
	json_object *value = NULL;

	return json_object_object_get_ex(o, key, &value) ? json_object_get_int64(value) : 0;
}

#define TAKE(to, o, key) snprintf(to, sizeof(to), "%s", text_of(o, key))

static char *command_of(json_object *o)
{
	json_object *list = NULL;
	char *text = NULL;
	size_t len;

	if (!json_object_object_get_ex(o, "command", &list) || !json_object_is_type(list, json_type_array))
		return NULL;
	FILE *f = open_memstream(&text, &len);
	for (size_t i = 0; f && i < json_object_array_length(list); i++) {
		const char *word = json_object_get_string(json_object_array_get_idx(list, i));
		fprintf(f, "%s%s", i ? " " : "", word ? word : "");
	}
	if (f)
		fclose(f);
	return text;
}

/* The next one's place, all zero; NULL: no memory. */
static struct records_terminal *add_terminal(struct records_session *s, int number)
{
	struct records_terminal *list = reallocarray(s->terminals, s->n + 1, sizeof(*list));

	if (!list)
		return NULL;
	s->terminals = list;
	list[s->n] = (struct records_terminal){.number = number};
	return &list[s->n++];
}

static bool take_terminals(json_object *o, struct records_session *s)
{
	json_object *list = NULL;

	if (!json_object_object_get_ex(o, "terminals", &list) || !json_object_is_type(list, json_type_array))
		return false;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		json_object *one = json_object_array_get_idx(list, i);
		struct records_terminal *t = add_terminal(s, (int)number_of(one, "number"));

		if (!t)
			return false;
		TAKE(t->start, one, "start");
		TAKE(t->end, one, "end");
		TAKE(t->lost, one, "lost");
		t->output = (unsigned long long)number_of(one, "output_bytes");
		t->input = (unsigned long long)number_of(one, "input_bytes");
	}
	return true;
}

/* False: it is no such text. */
static bool take_session(const char *text, struct records_session *s)
{
	json_object *o = json_tokener_parse(text);
	bool good = json_object_is_type(o, json_type_object) && take_terminals(o, s);

	if (good) {
		TAKE(s->container, o, "container");
		TAKE(s->service, o, "service");
		TAKE(s->from, o, "from");
		TAKE(s->start, o, "start");
		TAKE(s->end, o, "end");
		s->uid = number_of(o, "uid");
		s->rule = number_of(o, "rule");
		s->leader = number_of(o, "leader");
		s->command = command_of(o);
	}
	json_object_put(o);
	return good;
}

/* ------------------------------------------------------------------ its files */

/* Whoever holds the lock of one of its files writes it; so does who has put another in its place. */
static bool is_held(int fd)
{
	struct stat st;

	return flock(fd, LOCK_SH | LOCK_NB) < 0 || fstat(fd, &st) < 0 || st.st_nlink == 0;
}

static int open_file(int userdir, const char *file)
{
	return openat(userdir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

static void read_about(int userdir, const char *file, struct records_session *s)
{
	cleanup_fd int fd = open_file(userdir, file);
	cleanup_free char *text = NULL;
	size_t len;

	if (fd < 0)
		return;
	s->live |= is_held(fd);
	s->damaged = nsi_read_fd(fd, file, MAX_BYTES, &text, &len, NULL) < 0 || !take_session(text, s);
}

/* Every recording counts, whatever else is known of it. */
static bool take_recording(int userdir, const char *file, struct records_session *s)
{
	const char *digits = file + NAME_BYTES + 1;
	unsigned long long number;
	char text[16];

	/* ".1.cast", and no other */
	snprintf(text, sizeof(text), "%.*s", (int)strcspn(digits, "."), digits);
	if (!nsi_parse_number(text, 1, INT32_MAX, &number) || strcmp(strchrnul(digits, '.'), ".cast") != 0)
		return true;
	struct records_terminal *t = NULL;
	for (size_t i = 0; !t && i < s->n; i++)
		if (s->terminals[i].number == (int)number)
			t = &s->terminals[i];
	if (!t)
		t = add_terminal(s, (int)number);
	if (!t)
		return false;
	snprintf(t->file, sizeof(t->file), "%s", file);
	if (s->damaged) {
		cleanup_fd int fd = open_file(userdir, file);
		s->live |= fd >= 0 && is_held(fd);
	}
	return true;
}

static void count_file(int userdir, const char *file, struct records_session *s)
{
	struct stat st;

	if (fstatat(userdir, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	s->bytes += (unsigned long long)st.st_blocks * 512;
	if (st.st_mtime > s->changed)
		s->changed = st.st_mtime;
}

static int by_number(const void *a, const void *b)
{
	return ((const struct records_terminal *)a)->number - ((const struct records_terminal *)b)->number;
}

static bool read_session(
	int userdir, char **files, size_t n_files, const char *user, struct records_session *s)
{
	bool good = true;

	*s = (struct records_session){.files = files, .n_files = n_files, .user = user, .damaged = true};
	memcpy(s->name, files[0], NAME_BYTES);
	memcpy(s->id, s->name + NAME_ID, sizeof(s->id));
	for (size_t i = 0; i < n_files; i++)
		if (strcmp(files[i] + NAME_BYTES, ".json") == 0)
			read_about(userdir, files[i], s);
	for (size_t i = 0; i < n_files; i++) {
		good = good && take_recording(userdir, files[i], s);
		count_file(userdir, files[i], s);
	}
	if (s->n)
		qsort(s->terminals, s->n, sizeof(s->terminals[0]), by_number);
	return good;
}

void records_forget(struct records_session *s)
{
	free(s->terminals);
	free(s->command);
	*s = (struct records_session){0};
}

/* ------------------------------------------------------------------ directories */

static int is_file(const struct dirent *e)
{
	static const char form[] = NAME ".";
	const char *at = e->d_name;

	for (const char *f = form; *f; f++, at++) {
		const char *set = *f == '0' ? "0123456789" : *f == 'x' ? "0123456789abcdef" : NULL;

		if (!*at || (set ? !strchr(set, *at) : *at != *f))
			return 0;
	}
	return strlen(e->d_name) < RECORDS_NAME;
}

static int is_user(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static size_t count_same(char **list, size_t n)
{
	size_t same = 1;

	while (same < n && strncmp(list[0], list[same], NAME_BYTES) == 0)
		same++;
	return same;
}

static int each_of(int userdir, const char *user, int (*one)(int, struct records_session *, void *),
	void *data, struct nsi_error *err)
{
	struct dirent **list = NULL;
	int n = scandirat(userdir, ".", &list, is_file, alphasort), r = 0;
	size_t n_names = n > 0 ? (size_t)n : 0;
	cleanup_free char **names = calloc(n_names + 1, sizeof(*names));

	if (n < 0)
		r = nsi_fail(err, errno, "reading the recordings of", user, NULL);
	else if (!names)
		r = nsi_fail(err, ENOMEM, "reading the recordings of", user, NULL);
	for (size_t i = 0; names && i < n_names; i++)
		names[i] = list[i]->d_name;
	for (size_t i = 0, same; names && r == 0 && i < n_names; i += same) {
		struct records_session s;

		same = count_same(names + i, n_names - i);
		r = read_session(userdir, names + i, same, user, &s)
			    ? one(userdir, &s, data)
			    : nsi_fail(err, ENOMEM, "reading the recordings of", user, NULL);
		records_forget(&s);
	}
	for (size_t i = 0; i < n_names; i++)
		free(list[i]);
	free(list);
	return r;
}

int records_each(const char *dir, const char *user, int (*one)(int, struct records_session *, void *),
	void *data, struct nsi_error *err)
{
	cleanup_fd int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **list = NULL;
	int r = 0;

	if (top < 0 && errno == ENOENT)
		return 0;
	int n = top < 0 ? -1 : scandirat(top, ".", &list, is_user, alphasort);
	if (n < 0)
		return nsi_fail(err, errno, "reading", dir, NULL);
	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name;

		if (r == 0 && (!user || strcmp(user, name) == 0)) {
			cleanup_fd int userdir =
				openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			/* What else the administrator keeps there is none of ours. */
			if (userdir >= 0)
				r = each_of(userdir, name, one, data, err);
			else if (errno != ENOTDIR && errno != ELOOP)
				r = nsi_fail(err, errno, "reading the recordings of", name, NULL);
		}
		free(list[i]);
	}
	free(list);
	return r;
}

/* ------------------------------------------------------------------ a recording */

static json_object *next_line(FILE *f)
{
	cleanup_free char *line = NULL;
	size_t size = 0;

	return getline(&line, &size, f) > 0 ? json_tokener_parse(line) : NULL;
}

bool records_head(FILE *f, int *ret_columns, int *ret_rows)
{
	json_object *o = next_line(f);
	bool ok = json_object_is_type(o, json_type_object) && number_of(o, "version") == 2;

	if (ok) {
		*ret_columns = (int)number_of(o, "width");
		*ret_rows = (int)number_of(o, "height");
	}
	json_object_put(o);
	return ok;
}

int records_event(FILE *f, double *ret_time, char *ret_kind, char **ret_text, size_t *ret_len)
{
	json_object *o = next_line(f), *text;
	int r = o ? -1 : feof(f) ? 0 : -1;

	if (json_object_is_type(o, json_type_array) && json_object_array_length(o) == 3) {
		text = json_object_array_get_idx(o, 2);
		*ret_time = json_object_get_double(json_object_array_get_idx(o, 0));
		*ret_kind = json_object_get_string(json_object_array_get_idx(o, 1))[0];
		*ret_len = (size_t)json_object_get_string_len(text);
		*ret_text = malloc(*ret_len + 1);
		if (*ret_text)
			memcpy(*ret_text, json_object_get_string(text), *ret_len + 1);
		r = *ret_text ? 1 : -1;
	}
	json_object_put(o);
	return r;
}
