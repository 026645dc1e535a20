#include "../../libcore/act/cast.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/str.h"
#include "record.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

bool files_lost(int r)
{
	return r == -ENOSPC || r == -EDQUOT || r == -EROFS || r == -EIO || r == -ENOMEM;
}

/* Every directory that is missing, for root alone. */
static int make_above(const char *path)
{
	char part[sizeof(((struct nsi_recording *)0)->dir)];

	nsi_copy(part, sizeof(part), path);
	for (char *slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
		if (slash)
			*slash = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return -errno;
		if (!slash)
			return 0;
		*slash = '/';
	}
}

static int open_user(int above, const char *user)
{
	if (mkdirat(above, user, 0700) < 0 && errno != EEXIST)
		return -errno;
	int fd = openat(above, user, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int make_name(struct files *files)
{
	unsigned char id[8];
	time_t now = time(NULL);
	struct tm tm;
	size_t n;

	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		return -EIO;
	for (size_t i = 0; i < sizeof(id); i++)
		snprintf(files->session + 2 * i, 3, "%02x", id[i]);
	n = strftime(files->name, sizeof(files->name), "%Y%m%dT%H%M%SZ-", gmtime_r(&now, &tm));
	return nsi_copy(files->name + n, sizeof(files->name) - n, files->session) ? 0 : -EIO;
}

int files_open(struct files *files, const struct nsi_record_order *order, struct nsi_error *err)
{
	const char *dir = order->recording.dir;
	cleanup_fd int above = -1;

	files->dir = -1;
	int r = make_name(files);
	if (r == 0)
		r = make_above(dir);
	if (r < 0)
		return nsi_fail(err, -r, "making the directory of recordings", dir, NULL);
	r = nsi_open_trusted(dir, O_PATH | O_DIRECTORY, &above, NULL, err);
	if (r < 0)
		return r;
	files->dir = open_user(above, order->user);
	return files->dir < 0 ? nsi_fail(err, -files->dir, "making the directory of recordings of",
					order->user, NULL)
			      : 0;
}

int files_terminal(const struct files *files, int number)
{
	char name[RECORD_NAME + 24];

	snprintf(name, sizeof(name), "%s.%d.cast", files->name, number);
	int fd = openat(
		files->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

/* ------------------------------------------------------------------ the session */

static void put_string(FILE *f, const char *text)
{
	char out[NSI_CAST_TEXT];
	struct nsi_utf8 held = {0};

	nsi_cast_text(&held, text, strnlen(text, NSI_CAST_CHUNK), true, out);
	fprintf(f, "\"%s\"", out);
}

static void put_text(FILE *f, const char *key, const char *text)
{
	fprintf(f, ", \"%s\": ", key);
	if (text[0])
		put_string(f, text);
	else
		fputs("null", f);
}

static void put_number(FILE *f, const char *key, unsigned long long number)
{
	fprintf(f, ", \"%s\": %llu", key, number);
}

static void put_time(FILE *f, const char *key, long long at)
{
	char text[32] = "";
	time_t seconds = (time_t)at;
	struct tm tm;

	if (at)
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
	put_text(f, key, text);
}

static void put_command(FILE *f, const struct nsi_record_order *order)
{
	uint32_t at = 0;

	fprintf(f, ", \"command\": %s", order->command_len ? "[" : "null");
	while (at < order->command_len) {
		fputs(at ? ", " : "", f);
		put_string(f, order->command + at);
		at += (uint32_t)strnlen(order->command + at, order->command_len - at) + 1;
	}
	fputs(order->command_len ? "]" : "", f);
}

static void put_terminals(FILE *f, const struct recorder *r)
{
	char name[RECORD_NAME + 24];
	bool more = false;

	fputs(", \"terminals\": [", f);
	for (const struct terminal *t = r->terminals; t; t = t->next) {
		const bool file = t->tally->begun || (!t->to && !t->tally->code);

		/* One that nobody came to use is not worth a word; one that goes on may come to be used. */
		if (!file && !t->tally->code)
			continue;
		snprintf(name, sizeof(name), "%s.%d.cast", r->files.name, t->number);
		fprintf(f, "%s{\"number\": %d", more ? ", " : "", t->number);
		put_text(f, "file", file ? name : "");
		put_time(f, "start", t->from);
		put_time(f, "end", t->to);
		put_number(f, "output_bytes", t->tally->output);
		put_number(f, "input_bytes", t->tally->input);
		put_text(f, "lost", t->tally->code ? strerrordesc_np(t->tally->code) : "");
		fputc('}', f);
		more = true;
	}
	fputs("]}\n", f);
}

static void put_session(FILE *f, const struct recorder *r)
{
	const struct nsi_record_order *o = r->order;

	fputs("{\"version\": 1", f);
	put_text(f, "session", r->files.session);
	put_text(f, "user", o->user);
	put_number(f, "uid", o->uid);
	put_number(f, "rule", (unsigned)o->line);
	put_text(f, "container", o->container);
	put_text(f, "service", o->origin.service);
	put_text(f, "from", o->origin.from);
	put_number(f, "leader", (unsigned)r->leader_pid);
	put_time(f, "start", r->from);
	put_time(f, "end", r->to);
	put_command(f, o);
	put_terminals(f, r);
}

/* In place: who reads it meanwhile may see the end of it missing. */
int files_session(const struct recorder *r)
{
	cleanup_free char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return -ENOMEM;
	put_session(f, r);
	if (fclose(f) != 0)
		return -ENOMEM;
	ssize_t n = pwrite(r->files.about, text, len, 0);
	if (n != (ssize_t)len)
		return n < 0 ? -errno : -ENOSPC;
	return ftruncate(r->files.about, (off_t)len) < 0 ? -errno : 0;
}

int files_begin(struct recorder *r)
{
	char name[RECORD_NAME + 8];

	snprintf(name, sizeof(name), "%s.json", r->files.name);
	r->files.about =
		openat(r->files.dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (r->files.about < 0 || flock(r->files.about, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	int res = files_session(r);
	if (res < 0) {
		unlinkat(r->files.dir, name, 0);
		close(nsi_take_fd(&r->files.about));
	}
	return res;
}
