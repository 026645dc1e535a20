#include "unpack.h"

#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/io.h"
#include "../console/program.h"
#include "../console/progress.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { CHUNK = 256 * 1024, MAX_ARGUMENTS = 24 };

#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"

/* ------------------------------------------------------------------ sums */

static int sum_start(struct program *p, struct nsi_error *err)
{
	static char name[] = "sha256sum";
	char *const argv[] = {name, NULL};

	return program_start(argv, &(struct program_how){.write = true, .read = true}, p, err);
}

static int sum_end(struct program *p, char sum[UNPACK_SHA256], struct nsi_error *err)
{
	ssize_t n = 0, got;

	close(nsi_take_fd(&p->in));
	while (n < UNPACK_SHA256 - 1 && (got = read(p->out, sum + n, (size_t)(UNPACK_SHA256 - 1 - n))) > 0)
		n += got;
	sum[n] = '\0';
	int status = program_wait(p);
	if (status != 0 || n != UNPACK_SHA256 - 1)
		return nsi_failf(err, EIO, "running", "sha256sum", NULL, "it has failed");
	return 0;
}

int sha256_of(const char *text, size_t len, char sum[UNPACK_SHA256], struct nsi_error *err)
{
	struct program p;
	int r = sum_start(&p, err);

	if (r < 0)
		return r;
	nsi_write_full(p.in, text, len); /* should it fail, so does the sum */
	return sum_end(&p, sum, err);
}

/* ------------------------------------------------------------------ tar */

static char *packing(int archive)
{
	static const struct {
		char option[16];
		const char *magic;
		size_t len;
	} kinds[] = {{"--gzip", "\x1f\x8b", 2},
		{"--xz",
			"\xfd"
			"7zXZ",
			5},
		{"--bzip2", "BZh", 3}, {"--zstd", "\x28\xb5\x2f\xfd", 4}};
	char head[8] = "";

	if (pread(archive, head, sizeof(head), 0) == (ssize_t)sizeof(head))
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
			if (memcmp(head, kinds[i].magic, kinds[i].len) == 0)
				return (char *)(uintptr_t)kinds[i].option;
	return NULL;
}

/* tar takes leading dots and slashes as part of a name when it compares. */
static char *const left_out[] = {(char *)(uintptr_t) "--anchored", (char *)(uintptr_t) "--exclude=./dev/*",
	(char *)(uintptr_t) "--exclude=dev/*", (char *)(uintptr_t) "--exclude=/dev/*",
	(char *)(uintptr_t) "--exclude=./container.json", (char *)(uintptr_t) "--exclude=container.json",
	(char *)(uintptr_t) "--exclude=/container.json", (char *)(uintptr_t) "--exclude=./.nspid",
	(char *)(uintptr_t) "--exclude=.nspid", (char *)(uintptr_t) "--exclude=/.nspid",
	(char *)(uintptr_t) "--no-anchored"};

static void add(char *argv[], const char *word)
{
	int n = 0;

	while (argv[n])
		n++;
	if (n < MAX_ARGUMENTS)
		argv[n] = (char *)(uintptr_t)word;
}

static int start_tar(const struct unpack *u, bool list, struct program *p, struct nsi_error *err)
{
	char *argv[MAX_ARGUMENTS + 1] = {NULL};
	const char *packed = packing(u->archive);

	add(argv, "tar");
	add(argv, list ? "--list" : "--extract");
	add(argv, "--file=-");
	if (packed)
		add(argv, packed);
	if (list) {
		add(argv, "--quoting-style=escape");
	} else {
		add(argv, "--preserve-permissions");
		add(argv, "--same-owner");
		add(argv, "--numeric-owner");
		add(argv, "--xattrs");
		add(argv, "--xattrs-include=security.capability");
		for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
			add(argv, left_out[i]);
		if (u->layer)
			add(argv, "--exclude=" WHITEOUT "*");
	}
	if (lseek(u->archive, 0, SEEK_SET) < 0)
		return nsi_fail(err, errno, "reading", u->shown, NULL);
	struct program_how how = {.write = !list, .read = list, .input = u->archive, .workshop = u->root};
	return program_start(argv, &how, p, err);
}

/* To tar, and to the sum: what was summed up is what was unpacked. */
static int feed(const struct unpack *u, struct program *tar, struct program *sum, struct nsi_error *err)
{
	cleanup_free char *chunk = malloc(CHUNK);
	struct progress progress;
	struct stat st;
	bool taken = true;
	ssize_t n = -1;

	if (!chunk || fstat(u->archive, &st) < 0)
		return nsi_fail(err, chunk ? errno : ENOMEM, "reading", u->shown, NULL);
	progress_start(&progress, u->what, (unsigned long long)st.st_size);
	while ((n = read(u->archive, chunk, CHUNK)) > 0) {
		/* tar may be content before the end: what follows its last block is no archive any more. */
		if (taken)
			taken = nsi_write_full(tar->in, chunk, (size_t)n) == 0;
		if (sum && nsi_write_full(sum->in, chunk, (size_t)n) < 0)
			break;
		progress_step(&progress, (unsigned long long)n);
	}
	progress_end(&progress);
	return n < 0 ? nsi_fail(err, errno, "reading", u->shown, NULL) : 0;
}

static int extract(const struct unpack *u, struct nsi_error *err)
{
	char sum[UNPACK_SHA256];
	struct program tar, hash;
	int r = start_tar(u, false, &tar, err), sum_r = 0;

	if (r < 0)
		return r;
	if (u->sha256)
		sum_r = sum_start(&hash, err);
	if (sum_r == 0) {
		r = feed(u, &tar, u->sha256 ? &hash : NULL, err);
		if (u->sha256)
			sum_r = sum_end(&hash, sum, err);
	}
	int status = program_wait(&tar);
	if (r < 0 || sum_r < 0)
		return -EIO;
	if (status != 0)
		return nsi_failf(err, EIO, "unpacking", u->shown, "see what tar says above",
			"tar has failed with status %d", status);
	if (u->sha256 && strcmp(sum, u->sha256) != 0)
		return nsi_failf(err, EBADMSG, "unpacking", u->shown, "fetch the image again",
			"its sum is not the one that the image says");
	return 0;
}

/* ------------------------------------------------------------------ whiteouts */

/* Undo what --quoting-style=escape has done. */
static void unquote(char *text)
{
	static const char letters[] = "abfnrtv", values[] = "\a\b\f\n\r\t\v";
	char *to = text;

	for (const char *at = text; *at; to++) {
		const char *letter = at[0] == '\\' && at[1] ? strchr(letters, at[1]) : NULL;

		if (letter) {
			*to = values[letter - letters];
			at += 2;
		} else if (at[0] == '\\' && strspn(at + 1, "01234567") >= 3) {
			*to = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
			at += 4;
		} else if (at[0] == '\\' && at[1]) {
			*to = at[1];
			at += 2;
		} else {
			*to = *at++;
		}
	}
	*to = '\0';
}

/* What the entry takes away, relative to the root directory; "." for all. False: it is no whiteout. */
static bool whiteout(const char *name, char *ret, size_t size)
{
	while (name[0] == '/' || (name[0] == '.' && (name[1] == '/' || !name[1])))
		name++;
	const char *slash = strrchr(name, '/'), *last = slash ? slash + 1 : name;
	int above = (int)(last - name);

	if (strcmp(last, OPAQUE) == 0)
		return snprintf(ret, size, "./%.*s", above, name) < (int)size;
	if (strncmp(last, WHITEOUT, strlen(WHITEOUT)) != 0)
		return false;
	last += strlen(WHITEOUT);
	if (!*last || strcmp(last, ".") == 0 || strcmp(last, "..") == 0)
		return false;
	return snprintf(ret, size, "./%.*s%s", above, name, last) < (int)size;
}

/* xargs gets them with a NUL behind each; what the list has of ".." leads to nothing in rm's root. */
static int remove_listed(const struct unpack *u, FILE *list, struct nsi_error *err)
{
	static char xargs[] = "xargs", null[] = "--null", none[] = "--no-run-if-empty", rm[] = "rm",
		    all[] = "-rf", end[] = "--";
	char *const argv[] = {xargs, null, none, rm, all, end, NULL};
	char *line = NULL;
	char path[PATH_MAX];
	struct program p;
	size_t size = 0;
	int r = program_start(argv, &(struct program_how){.write = true, .workshop = u->root}, &p, err);

	if (r < 0)
		return r;
	while (getline(&line, &size, list) > 0) {
		line[strcspn(line, "\n")] = '\0';
		unquote(line);
		if (!whiteout(line, path, sizeof(path)))
			continue;
		/* rm does not remove where it is: the entries, then. */
		if (strcmp(path, "./") == 0)
			r = nsi_failf(err, ENOTSUP, "unpacking", u->shown, NULL,
				"a layer that takes away the whole root directory is not supported");
		else if (nsi_write_full(p.in, path, strlen(path) + 1) < 0)
			break;
	}
	free(line);
	if (program_wait(&p) != 0 && r == 0)
		r = nsi_failf(err, EIO, "unpacking", u->shown, "see what rm says above",
			"what the layer takes away could not be removed");
	return r;
}

static int apply_whiteouts(const struct unpack *u, struct nsi_error *err)
{
	struct program tar = {.pid = -1, .in = -1, .out = -1};
	int r = start_tar(u, true, &tar, err);

	if (r < 0)
		return r;
	FILE *list = fdopen(nsi_take_fd(&tar.out), "r");
	r = list ? remove_listed(u, list, err) : nsi_fail(err, ENOMEM, "reading", u->shown, NULL);
	if (list)
		fclose(list);
	int status = program_wait(&tar);
	if (r == 0 && status != 0)
		r = nsi_failf(err, EIO, "listing", u->shown, "see what tar says above",
			"tar has failed with status %d", status);
	return r;
}

int unpack(const struct unpack *u, struct nsi_error *err)
{
	int r = u->layer ? apply_whiteouts(u, err) : 0;

	return r < 0 ? r : extract(u, err);
}
