/* nsinit logs: what nsinit has written to the host's log, of a container, a user, or all. */
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/str.h"
#include "../../libcore/whole/state.h"
#include "../commands.h"
#include "../console/emit.h"
#include "../console/program.h"
#include "../console/show.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

enum { LINES = 100, MAX_LINES = 100000, LINE_MAX_BYTES = 8192 };

static const char *const files[] = {"/var/log/auth.log", "/var/log/secure"};

struct view {
	const char *dir, *user;
	bool json, follow;
	unsigned long long lines;
	char container[NSI_ID_SIZE], rootfs[PATH_MAX]; /* of `dir` */
	char uid[16];                                  /* of `user`; "": it has none on this host */
	char **kept;                                   /* the last `lines` that match, in a ring */
	size_t n;
	struct emit emit;
};

/* A line of the log in its parts, which lie in it. */
struct entry {
	char *time, *host, *program, *pid, *message;
};

/* ------------------------------------------------------------------ one line */

/* "2026-11-24T10:00:00+0000 host program[pid]: message", or "Nov 24 10:00:00 host ..." of old. */
static bool take_apart(char *line, struct entry *e)
{
	bool iso = line[0] >= '0' && line[0] <= '9';

	/* An indented line is another's: of a message of several lines. */
	if (strlen(line) < 16 || line[0] == ' ')
		return false;
	char *rest = line + (iso ? strcspn(line, " ") : 15);
	if (*rest != ' ')
		return false;
	*rest++ = '\0';
	e->time = line;
	e->host = strsep(&rest, " ");
	if (!rest)
		return false;
	e->program = rest;
	e->message = strstr(rest, ": ");
	if (!e->message)
		return false;
	*e->message = '\0';
	e->message += 2;
	e->pid = strchr(e->program, '[');
	if (e->pid) {
		*e->pid++ = '\0';
		e->pid[strcspn(e->pid, "]")] = '\0';
	}
	return true;
}

/* The value of "name=value" among the words of a message; false where it is not there, or another. */
static bool says(const char *message, const char *name, const char *value)
{
	size_t len = strlen(name), wanted = strlen(value);

	for (const char *at = message; (at = strstr(at, name)); at++)
		if ((at == message || at[-1] == ' ') && at[len] == '=' &&
			strncmp(at + len + 1, value, wanted) == 0 &&
			(!at[len + 1 + wanted] || strchr(" :,", at[len + 1 + wanted])))
			return true;
	return false;
}

static const char *value_of(const char *message, const char *name, char *buf, size_t size)
{
	size_t len = strlen(name);

	for (const char *at = message; (at = strstr(at, name)); at++)
		if ((at == message || at[-1] == ' ') && at[len] == '=') {
			snprintf(buf, size, "%.*s", (int)strcspn(at + len + 1, " :,"), at + len + 1);
			return buf;
		}
	return NULL;
}

static bool is_ours(const struct entry *e)
{
	return strncmp(e->program, "nsinit", 6) == 0 || strncmp(e->message, "pam_nsinit(", 11) == 0;
}

static bool matches(const struct view *v, const struct entry *e)
{
	if (!is_ours(e))
		return false;
	if (v->dir)
		return says(e->message, "container", v->container) || says(e->message, "rootfs", v->rootfs);
	if (v->user)
		return says(e->message, "user", v->user) || (v->uid[0] && says(e->message, "uid", v->uid));
	return true;
}

/* ------------------------------------------------------------------ all of them */

static void print_line(struct view *v, char *line)
{
	char buf[256], copy[LINE_MAX_BYTES];
	struct emit *e = &v->emit;
	struct entry entry;

	if (!v->json) {
		print_text(line);
		putchar('\n');
		return;
	}
	snprintf(copy, sizeof(copy), "%s", line);
	if (!take_apart(copy, &entry))
		return;
	emit_open(e, NULL, '{');
	emit_text(e, "time", entry.time);
	emit_text(e, "host", entry.host);
	emit_text(e, "program", entry.program);
	emit_text(e, "pid", entry.pid);
	emit_text(e, "reason", value_of(entry.message, "reason", buf, sizeof(buf)));
	emit_text(e, "user", value_of(entry.message, "user", buf, sizeof(buf)));
	emit_text(e, "container", value_of(entry.message, "container", buf, sizeof(buf)));
	emit_text(e, "message", entry.message);
	emit_close(e, '}');
}

static void take_line(struct view *v, char *line)
{
	char copy[LINE_MAX_BYTES];
	struct entry entry;

	snprintf(copy, sizeof(copy), "%s", line);
	if (!take_apart(copy, &entry) || !matches(v, &entry))
		return;
	if (v->follow) {
		print_line(v, line);
		fflush(stdout);
		return;
	}
	char **place = &v->kept[v->n++ % v->lines];
	free(*place);
	*place = strdup(line);
}

static void read_lines(struct view *v, int fd)
{
	FILE *in = fdopen(fd, "r");
	char line[LINE_MAX_BYTES];

	while (in && fgets(line, sizeof(line), in)) {
		size_t len = strcspn(line, "\n");
		int c = line[len] ? '\n' : 0;

		line[len] = '\0';
		while (c != '\n' && (c = fgetc(in)) != EOF) /* the rest of one that is too long */
			continue;
		take_line(v, line);
	}
	if (in)
		fclose(in);
}

static void print_kept(struct view *v)
{
	size_t first = v->n > v->lines ? v->n - v->lines : 0;

	if (v->json)
		emit_open(&v->emit, NULL, '[');
	for (size_t i = first; i < v->n; i++)
		if (v->kept && v->kept[i % v->lines])
			print_line(v, v->kept[i % v->lines]);
	if (v->json)
		emit_close(&v->emit, ']');
}

/* ------------------------------------------------------------------ where from */

static bool has_journal(void)
{
	return access("/run/systemd/journal/socket", F_OK) == 0;
}

static void say_how(char *const argv[])
{
	fputs("#", stderr);
	for (int i = 0; argv[i]; i++)
		fprintf(stderr, " %s", argv[i]);
	fputs(", and of that what is of nsinit\n", stderr);
}

/*
 * The facility AUTHPRIV is number 10. The journal knows who has written: what others than root say counts
 * only from nsinit-shell, which runs as the user.
 */
static int read_journal(struct view *v, struct nsi_error *err)
{
	static char name[] = "journalctl", quiet[] = "--quiet", pager[] = "--no-pager",
		    format[] = "--output=short-iso", facility[] = "SYSLOG_FACILITY=10", root[] = "_UID=0",
		    or [] = "+", shell[] = "SYSLOG_IDENTIFIER=nsinit-shell", follow[] = "--follow",
		    some[] = "--lines=1000", many[] = "--lines=100000";
	char *argv[] = {name, quiet, pager, format, v->follow ? some : many, facility, root, or, facility,
		shell, v->follow ? follow : NULL, NULL};
	struct program p;

	say_how(argv);
	int r = program_start(argv, &(struct program_how){.read = true}, &p, err);
	if (r < 0)
		return r;
	read_lines(v, nsi_take_fd(&p.out));
	return program_wait(&p) == 0 ? 0
				     : nsi_failf(err, EIO, "reading", "the journal", "run it as root",
					       "journalctl has failed");
}

static int read_file(struct view *v, struct nsi_error *err)
{
	static char name[] = "tail", all[] = "--lines=+1", some[] = "--lines=1000",
		    follow[] = "--follow=name";
	const char *path = NULL;
	struct program p;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && !path; i++)
		path = access(files[i], F_OK) == 0 ? files[i] : NULL;
	if (!path)
		return nsi_failf(err, ENOENT, "looking for", "the log",
			"what keeps the facility AUTHPRIV on this host?",
			"there is no journal, no %s and no %s", files[0], files[1]);
	char *argv[] = {
		name, v->follow ? some : all, (char *)(uintptr_t)path, v->follow ? follow : NULL, NULL};
	say_how(argv);
	int r = program_start(argv, &(struct program_how){.read = true}, &p, err);
	if (r < 0)
		return r;
	read_lines(v, nsi_take_fd(&p.out));
	return program_wait(&p) == 0
		       ? 0
		       : nsi_failf(err, EIO, "reading", path, "run it as root", "it could not be read");
}

static bool parse_options(int argc, char **argv, struct view *v)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, 'j'}, {"follow", no_argument, NULL, 'f'}, {0}};
	int c;

	v->lines = LINES;
	while ((c = getopt_long(argc, argv, "C:n:f", longs, NULL)) != -1) {
		if (c == 'C')
			v->dir = optarg;
		else if (c == 'f')
			v->follow = true;
		else if (c == 'j')
			v->json = true;
		else if (c != 'n' || !nsi_parse_number(optarg, 1, MAX_LINES, &v->lines))
			return false;
	}
	if (optind < argc)
		v->user = argv[optind++];
	return optind == argc && !(v->dir && v->user);
}

/* What the log calls them by. */
static int find_names(struct view *v, struct nsi_error *err)
{
	const struct passwd *pw = v->user ? getpwnam(v->user) : NULL;

	if (pw)
		snprintf(v->uid, sizeof(v->uid), "%u", (unsigned)pw->pw_uid);
	if (!v->dir)
		return 0;
	cleanup_fd int fd = open(v->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return nsi_fail(err, errno, "opening the rootfs directory", v->dir, NULL);
	nsi_fd_path(fd, v->rootfs, sizeof(v->rootfs));
	return nsi_container_id(fd, v->container, err);
}

int cmd_logs(int argc, char **argv)
{
	static struct view v;
	struct nsi_error err = {0};

	if (!parse_options(argc, argv, &v)) {
		print_usage("logs");
		return NSI_EXIT_FAILED;
	}
	if (need_root("logs", "the log is root's to read") != 0)
		return NSI_EXIT_FAILED;
	v.kept = calloc(v.lines, sizeof(*v.kept));
	int r = v.kept ? find_names(&v, &err) : nsi_fail(&err, ENOMEM, "reading", "the log", NULL);
	if (r == 0)
		r = has_journal() ? read_journal(&v, &err) : read_file(&v, &err);
	if (r < 0)
		return report(&err);
	if (!v.follow)
		print_kept(&v);
	return 0;
}
