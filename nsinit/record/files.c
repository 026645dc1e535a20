#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/str.h"
#include "../console/emit.h"
#include "record.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

enum { DIR_BYTES = sizeof(((struct nsi_recording *)0)->dir) };

bool files_lost(int r)
{
	return r == -ENOSPC || r == -EDQUOT || r == -EROFS || r == -EIO;
}

static int open_part(int above, const char *path, const char *name, int *ret_fd, struct nsi_error *err)
{
	int r = nsi_open_trusted(path, O_PATH | O_DIRECTORY, ret_fd, NULL, err);

	if (r != -ENOENT)
		return r;
	if (mkdirat(above, name, 0700) < 0 && errno != EEXIST)
		return nsi_fail(err, errno, "making the directory of recordings", path, NULL);
	return nsi_open_trusted(path, O_PATH | O_DIRECTORY, ret_fd, NULL, err);
}

/* Whatever directory is missing is made, for root alone, in one that nobody else can change. */
static int open_above(const char *path, int *ret_fd, struct nsi_error *err)
{
	char part[DIR_BYTES], name[DIR_BYTES];
	cleanup_fd int above = -1;
	int r = nsi_open_trusted("/", O_PATH | O_DIRECTORY, &above, NULL, err), next;
	size_t n;

	for (const char *at = path; r == 0 && *(at += strspn(at, "/")); at += n) {
		n = strcspn(at, "/");
		snprintf(part, sizeof(part), "%.*s", (int)(at - path + (ptrdiff_t)n), path);
		snprintf(name, sizeof(name), "%.*s", (int)n, at);
		r = open_part(above, part, name, &next, err);
		close(nsi_take_fd(&above));
		above = r == 0 ? next : -1;
	}
	if (r == 0)
		*ret_fd = nsi_take_fd(&above);
	return r;
}

static int open_directories(struct files *files, const struct nsi_record_order *order, struct nsi_error *err)
{
	int r = files->above < 0 ? open_above(order->recording.dir, &files->above, err) : 0;

	if (r < 0 || files->dir >= 0)
		return r;
	if (mkdirat(files->above, order->user, 0700) < 0 && errno != EEXIST)
		return nsi_fail(err, errno, "making the directory of recordings of", order->user, NULL);
	files->dir = openat(files->above, order->user, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return files->dir < 0
		       ? nsi_fail(err, errno, "opening the directory of recordings of", order->user, NULL)
		       : 0;
}

static int make_name(struct files *files)
{
	unsigned char id[8];
	time_t now = time(NULL);
	struct tm tm;
	size_t n;

	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		return -EAGAIN;
	for (size_t i = 0; i < sizeof(id); i++)
		snprintf(files->session + 2 * i, 3, "%02x", id[i]);
	n = strftime(files->name, sizeof(files->name), "%Y%m%dT%H%M%SZ-", gmtime_r(&now, &tm));
	return nsi_copy(files->name + n, sizeof(files->name) - n, files->session) ? 0 : -EINVAL;
}

int files_open(struct files *files, const struct nsi_record_order *order, struct nsi_error *err)
{
	int r = make_name(files);

	return r < 0 ? nsi_fail(err, -r, "naming the recording of", order->user, NULL)
		     : open_directories(files, order, err);
}

int files_terminal(struct recorder *r, int number)
{
	char name[RECORD_NAME + 24];
	int res = open_directories(&r->files, r->order, NULL);

	if (res < 0)
		return res;
	snprintf(name, sizeof(name), "%s.%d.cast", r->files.name, number);
	int fd = openat(
		r->files.dir, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	flock(fd, LOCK_EX | LOCK_NB); /* nobody else knows it yet */
	return fd;
}

/* ------------------------------------------------------------------ the session */

static void emit_time(struct emit *e, const char *key, long long at)
{
	char text[32] = "";
	time_t seconds = (time_t)at;
	struct tm tm;

	if (at)
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
	emit_known(e, key, text);
}

static void emit_command(struct emit *e, const struct nsi_record_order *order)
{
	if (!order->command_len)
		return emit_null(e, "command");
	emit_open(e, "command", '[');
	for (uint32_t at = 0; at < order->command_len;
		at += (uint32_t)strnlen(order->command + at, order->command_len - at) + 1)
		emit_text(e, NULL, order->command + at);
	emit_close(e, ']');
}

static void emit_terminal(struct emit *e, const struct recorder *r, int i)
{
	const struct terminal *t = &r->terminals[i];
	const bool file = t->tally->begun || (!t->to && !t->tally->code);
	char name[RECORD_NAME + 24];

	/* One that nobody came to use is not worth a word; one that goes on may come to be used. */
	if (!file && !t->tally->code)
		return;
	snprintf(name, sizeof(name), "%s.%d.cast", r->files.name, i + 1);
	emit_open(e, NULL, '{');
	emit_number(e, "number", i + 1);
	emit_known(e, "file", file ? name : "");
	emit_time(e, "start", t->from);
	emit_time(e, "end", t->to);
	emit_number(e, "output_bytes", (long long)t->tally->output);
	emit_number(e, "input_bytes", (long long)t->tally->input);
	emit_known(e, "lost", t->tally->code ? strerrordesc_np(t->tally->code) : "");
	emit_close(e, '}');
}

static void emit_session(struct emit *e, const struct recorder *r)
{
	const struct nsi_record_order *o = r->order;

	emit_open(e, NULL, '{');
	emit_number(e, "version", 1);
	emit_text(e, "session", r->files.session);
	emit_text(e, "user", o->user);
	emit_number(e, "uid", o->uid);
	emit_number(e, "rule", o->line);
	emit_known(e, "container", o->container);
	emit_known(e, "service", o->origin.service);
	emit_known(e, "from", o->origin.from);
	emit_number(e, "leader", r->leader_pid);
	emit_time(e, "start", r->from);
	emit_time(e, "end", r->to);
	emit_command(e, o);
	emit_open(e, "terminals", '[');
	for (int i = 0; i < r->n_terminals; i++)
		emit_terminal(e, r, i);
	emit_close(e, ']');
	emit_close(e, '}');
}

static int make_text(const struct recorder *r, char **ret_text, size_t *ret_len)
{
	struct emit e = {.to = open_memstream(ret_text, ret_len)};

	if (!e.to)
		return -ENOMEM;
	emit_session(&e, r);
	return fclose(e.to) == 0 ? 0 : -ENOMEM;
}

/*
 * Another file is put in the place of the one before: whoever reads it, and whenever we end, it is one or the
 * other. There is none that is not locked.
 */
int files_session(struct recorder *r)
{
	struct files *files = &r->files;
	char name[RECORD_NAME + 8], made[sizeof(name) + 4];
	cleanup_free char *text = NULL;
	size_t len = 0;
	int res = open_directories(files, r->order, NULL);

	if (res == 0)
		res = make_text(r, &text, &len);
	if (res < 0)
		return res;
	snprintf(name, sizeof(name), "%s.json", files->name);
	snprintf(made, sizeof(made), "%s.new", name);
	cleanup_fd int fd =
		openat(files->dir, made, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	flock(fd, LOCK_EX | LOCK_NB);
	res = nsi_write_full(fd, text, len);
	if (res == 0 && renameat(files->dir, made, files->dir, name) < 0)
		res = -errno;
	if (res < 0) {
		unlinkat(files->dir, made, 0);
		return res;
	}
	if (files->about >= 0)
		close(files->about);
	files->about = nsi_take_fd(&fd);
	return 0;
}
