#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/error.h"
#include "../../libcore/base/io.h"
#include "records.h"

#include <dirent.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { MAX_BYTES = 1024 * 1024, SUFFIX = sizeof(".json") - 1 };

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
		bool plain = word && word[0] && !strpbrk(word, " \t\n\"'\\$`|&;<>()*?[]#~=%!{}");

		fprintf(f, plain ? "%s%s" : "%s'%s'", i ? " " : "", word ? word : "");
	}
	if (f)
		fclose(f);
	return text;
}

static void take_terminals(json_object *o, struct records_session *s)
{
	json_object *list = NULL;

	if (!json_object_object_get_ex(o, "terminals", &list) || !json_object_is_type(list, json_type_array))
		return;
	/* The last one stands first. */
	for (size_t i = json_object_array_length(list); i-- > 0 && s->n < RECORDS_TERMINALS;) {
		json_object *one = json_object_array_get_idx(list, i);
		struct records_terminal *t = &s->terminals[s->n++];

		t->number = (int)number_of(one, "number");
		TAKE(t->file, one, "file");
		TAKE(t->start, one, "start");
		TAKE(t->end, one, "end");
		TAKE(t->lost, one, "lost");
		t->output = (unsigned long long)number_of(one, "output_bytes");
		t->input = (unsigned long long)number_of(one, "input_bytes");
		if (strchr(t->file, '/'))
			t->file[0] = '\0';
	}
}

static void count_files(int userdir, struct records_session *s)
{
	struct stat st;

	for (int i = -1; i < s->n; i++) {
		char about[RECORDS_NAME + 8];

		snprintf(about, sizeof(about), "%s.json", s->name);
		const char *name = i < 0 ? about : s->terminals[i].file;
		if (!name[0] || fstatat(userdir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		s->bytes += (unsigned long long)st.st_size;
		if (st.st_mtime > s->changed)
			s->changed = st.st_mtime;
	}
}

static bool read_session(int userdir, const char *file, struct records_session *s)
{
	cleanup_fd int fd = openat(userdir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	cleanup_free char *text = NULL;
	size_t len;

	memset(s, 0, sizeof(*s));
	if (fd < 0 || nsi_read_fd(fd, file, MAX_BYTES, &text, &len, NULL) < 0)
		return false;
	json_object *o = json_tokener_parse(text);
	if (!o || !json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		return false;
	}
	snprintf(s->name, sizeof(s->name), "%.*s", (int)(strlen(file) - SUFFIX), file);
	TAKE(s->id, o, "session");
	TAKE(s->user, o, "user");
	TAKE(s->container, o, "container");
	TAKE(s->service, o, "service");
	TAKE(s->from, o, "from");
	TAKE(s->start, o, "start");
	TAKE(s->end, o, "end");
	s->uid = number_of(o, "uid");
	s->rule = number_of(o, "rule");
	s->leader = number_of(o, "leader");
	s->command = command_of(o);
	take_terminals(o, s);
	json_object_put(o);
	s->live = flock(fd, LOCK_SH | LOCK_NB) < 0;
	count_files(userdir, s);
	return true;
}

/* ------------------------------------------------------------------ directories */

static int is_session(const struct dirent *e)
{
	size_t len = strlen(e->d_name);

	return e->d_name[0] != '.' && len > SUFFIX && len < RECORDS_NAME &&
	       strcmp(e->d_name + len - SUFFIX, ".json") == 0;
}

static int is_user(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static int each_of(int userdir, int (*one)(int, const struct records_session *, void *), void *data)
{
	struct records_session *s = malloc(sizeof(*s));
	struct dirent **list = NULL;
	int n = s ? scandirat(userdir, ".", &list, is_session, alphasort) : -1, r = 0;

	for (int i = 0; i < n; i++) {
		if (r == 0 && read_session(userdir, list[i]->d_name, s)) {
			r = one(userdir, s, data);
			free(s->command);
		}
		free(list[i]);
	}
	free(list);
	free(s);
	return r;
}

int records_each(const char *dir, const char *user,
	int (*one)(int userdir, const struct records_session *s, void *data), void *data,
	struct nsi_error *err)
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
		cleanup_fd int userdir = -1;

		if (r == 0 && (!user || strcmp(user, list[i]->d_name) == 0))
			userdir =
				openat(top, list[i]->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (userdir >= 0)
			r = each_of(userdir, one, data);
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
