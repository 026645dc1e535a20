/* nsinit records: the recordings of sessions, for the administrator. */
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/str.h"
#include "../../libcore/parse/policy.h"
#include "../commands.h"
#include "../console/emit.h"
#include "../console/show.h"
#include "records.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

struct options {
	const char *dir;
	bool json, dry;
	struct records_way way;
	struct nsi_record_store store;
	char **rest;
	int n_rest;
};

static int usage(void)
{
	fputs("usage: nsinit records [list] [--dir DIR] [--json] [USER]\n"
	      "       nsinit records show [--dir DIR] SESSION\n"
	      "       nsinit records play [--dir DIR] [--speed N] [--idle SECONDS] [--raw] "
	      "SESSION[.TERMINAL]\n"
	      "       nsinit records prune [--dir DIR] [--dry-run]\n",
		stderr);
	return NSI_EXIT_FAILED;
}

/* ------------------------------------------------------------------ list */

struct listing {
	bool json;
	struct emit emit;
	int shown;
};

static unsigned long long output_of(const struct records_session *s)
{
	unsigned long long n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->terminals[i].output;
	return n;
}

static bool is_whole(const struct records_session *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->terminals[i].lost[0])
			return false;
	return true;
}

static void list_object(struct emit *e, const struct records_session *s)
{
	emit_open(e, NULL, '{');
	emit_text(e, "session", s->id);
	emit_text(e, "user", s->user);
	emit_number(e, "uid", s->uid);
	emit_number(e, "rule", s->rule);
	emit_known(e, "container", s->container);
	emit_known(e, "service", s->service);
	emit_known(e, "from", s->from);
	emit_number(e, "leader", s->leader);
	emit_known(e, "start", s->start);
	emit_known(e, "end", s->end);
	emit_bool(e, "live", s->live);
	emit_bool(e, "damaged", s->damaged);
	emit_text(e, "command", s->command);
	emit_number(e, "bytes", (long long)s->bytes);
	emit_open(e, "terminals", '[');
	for (size_t i = 0; i < s->n; i++) {
		const struct records_terminal *t = &s->terminals[i];

		emit_open(e, NULL, '{');
		emit_number(e, "number", t->number);
		emit_known(e, "file", t->file);
		emit_known(e, "start", t->start);
		emit_known(e, "end", t->end);
		emit_number(e, "output_bytes", (long long)t->output);
		emit_number(e, "input_bytes", (long long)t->input);
		emit_known(e, "lost", t->lost);
		emit_close(e, '}');
	}
	emit_close(e, ']');
	emit_close(e, '}');
}

static const char *state_of(const struct records_session *s)
{
	return s->damaged    ? "damaged"
	       : s->live     ? "live"
	       : !s->end[0]  ? "killed"
	       : is_whole(s) ? "whole"
			     : "cut";
}

static void list_line(const struct records_session *s)
{
	char size[24];

	printf("%-16s %-20s %-7s %5zu %8s ", s->id, s->start[0] ? s->start : "-", state_of(s), s->n,
		size_text(output_of(s), size, sizeof(size)));
	print_text(s->user);
	putchar(' ');
	print_text(s->service);
	if (s->from[0]) {
		fputs(" from ", stdout);
		print_text(s->from);
	}
	if (s->command) {
		fputs(": ", stdout);
		print_text(s->command);
	}
	putchar('\n');
}

static int list_one(int userdir, struct records_session *s, void *data)
{
	struct listing *l = data;

	(void)userdir;
	if (l->json)
		list_object(&l->emit, s);
	else if (!l->shown)
		printf("%-16s %-20s %-7s %5s %8s %s\n", "SESSION", "START", "STATE", "TTYS", "OUTPUT",
			"USER AND SERVICE");
	if (!l->json)
		list_line(s);
	l->shown++;
	return 0;
}

static int list(const struct options *o, struct nsi_error *err)
{
	struct listing l = {.json = o->json};

	if (o->n_rest > 1)
		return usage();
	if (l.json)
		emit_open(&l.emit, NULL, '[');
	int r = records_each(o->dir, o->rest[0], list_one, &l, err);
	if (l.json)
		emit_close(&l.emit, ']');
	return r < 0 ? report(err) : 0;
}

/* ------------------------------------------------------------------ show, play */

struct search {
	const char *id;
	size_t len;
	int found, userdir;
	char user[256];
	struct records_session s;
};

static int match(int userdir, struct records_session *s, void *data)
{
	struct search *w = data;

	if (strncmp(s->id, w->id, w->len) != 0 || w->found++ > 0)
		return 0;
	snprintf(w->user, sizeof(w->user), "%s", s->user);
	w->s = *s;
	w->s.user = w->user;
	w->s.files = NULL;
	w->s.n_files = 0;
	*s = (struct records_session){0};
	w->userdir = fcntl(userdir, F_DUPFD_CLOEXEC, 3);
	return 0;
}

/* The one session whose id begins so. */
static int find(const struct options *o, size_t len, struct search *w, struct nsi_error *err)
{
	*w = (struct search){.id = o->rest[0], .len = len, .userdir = -1};
	int r = len ? records_each(o->dir, NULL, match, w, err) : 0;
	if (r == 0 && w->found != 1)
		r = nsi_failf(err, ENOENT, "looking for session", o->rest[0], "\"nsinit records\" lists them",
			w->found ? "several begin so" : "there is none");
	return r;
}

static void forget(struct search *w)
{
	if (w->userdir >= 0)
		close(w->userdir);
	records_forget(&w->s);
}

static void show_pair(const char *title, const char *text)
{
	printf("%-11s ", title);
	print_text(text[0] ? text : "-");
	putchar('\n');
}

static void show_session(const struct records_session *s)
{
	show_pair("session:", s->id);
	show_pair("state:", state_of(s));
	printf("user:       ");
	print_text(s->user);
	printf(" (uid %lld)\nrule:       line %lld\n", s->uid, s->rule);
	show_pair("container:", s->container);
	show_pair("service:", s->service);
	show_pair("from:", s->from);
	show_pair("start:", s->start);
	show_pair("end:", s->end);
	show_pair("command:", s->command ? s->command : "");
	for (size_t i = 0; i < s->n; i++) {
		const struct records_terminal *t = &s->terminals[i];

		printf("terminal %d: %s to %s, output %llu, input %llu bytes\n            ", t->number,
			t->start[0] ? t->start : "-", t->end[0] ? t->end : "-", t->output, t->input);
		print_text(t->file[0] ? t->file : "nothing was written");
		if (t->lost[0])
			printf(", cut: %s", t->lost);
		putchar('\n');
	}
}

static int show(const struct options *o, struct nsi_error *err)
{
	struct search w;

	if (o->n_rest != 1)
		return usage();
	int r = find(o, strlen(o->rest[0]), &w, err);
	if (r == 0)
		show_session(&w.s);
	forget(&w);
	return r < 0 ? report(err) : 0;
}

static int play_file(const struct options *o, const struct search *w, int number, struct nsi_error *err)
{
	const struct records_terminal *t = NULL;
	int columns, rows;

	for (size_t i = 0; i < w->s.n; i++)
		if (w->s.terminals[i].number == number && w->s.terminals[i].file[0])
			t = &w->s.terminals[i];
	if (!t)
		return nsi_failf(err, ENOENT, "playing", o->rest[0], NULL, "it has no such terminal");
	int fd = openat(w->userdir, t->file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f)
		return nsi_fail(err, errno, "opening", t->file, NULL);
	int r = records_head(f, &columns, &rows) ? 0 : -1;
	if (r == 0 && columns > terminal_columns())
		fprintf(stderr, "nsinit: it was %d columns wide, %d high\n", columns, rows);
	if (r == 0)
		r = records_play(f, &o->way);
	fclose(f);
	return r < 0 ? nsi_failf(err, EINVAL, "playing", t->file, NULL, "it is no asciicast of version 2")
		     : 0;
}

static int play(const struct options *o, struct nsi_error *err)
{
	unsigned long long number = 1;
	struct search w;

	if (o->n_rest != 1)
		return usage();
	const char *dot = strchr(o->rest[0], '.');
	if (dot && !nsi_parse_number(dot + 1, 1, INT32_MAX, &number))
		return usage();
	int r = find(o, dot ? (size_t)(dot - o->rest[0]) : strlen(o->rest[0]), &w, err);
	if (r == 0)
		r = play_file(o, &w, (int)number, err);
	forget(&w);
	return r < 0 ? report(err) : 0;
}

static int prune(const struct options *o, struct nsi_error *err)
{
	if (o->n_rest > 0)
		return usage();
	if (!o->store.days && !o->store.total) {
		nsi_failf(err, EINVAL, "pruning", o->dir, "see nsinit.conf(5)",
			"the policy says neither record_age nor record_total");
		return report(err);
	}
	return records_prune(o->dir, o->store.days, o->store.total, o->dry, err) < 0 ? report(err) : 0;
}

/* ------------------------------------------------------------------ which of them */

/* "2", "0.5" */
static bool parse_number(const char *text, double *ret)
{
	unsigned long long whole, part = 0;
	const char *dot = strchrnul(text, '.');
	char before[16];
	double unit = 1;

	snprintf(before, sizeof(before), "%.*s", (int)(dot - text), text);
	if (!nsi_parse_number(before, 0, 1000000, &whole) ||
		(*dot && !nsi_parse_number(dot + 1, 0, 999999, &part)))
		return false;
	for (const char *p = *dot ? dot + 1 : dot; *p; p++)
		unit /= 10;
	*ret = (double)whole + (double)part * unit;
	return true;
}

static bool parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {{"dir", required_argument, NULL, 'd'},
		{"json", no_argument, NULL, 'j'}, {"speed", required_argument, NULL, 's'},
		{"idle", required_argument, NULL, 'i'}, {"dry-run", no_argument, NULL, 'n'},
		{"raw", no_argument, NULL, 'r'}, {0}};
	int c;

	*o = (struct options){.way = {.speed = 1, .idle = 2}};
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'd')
			o->dir = optarg;
		else if (c == 'j')
			o->json = true;
		else if (c == 'n')
			o->dry = true;
		else if (c == 'r')
			o->way.raw = true;
		else if (c == '?' || !parse_number(optarg, c == 's' ? &o->way.speed : &o->way.idle))
			return false;
	}
	o->rest = argv + optind;
	o->n_rest = argc - optind;
	return true;
}

/* Where they are, as the policy says; with --dir a policy that cannot be read is in nobody's way. */
static int find_store(struct options *o, struct nsi_error *err)
{
	struct nsi_policy *policy = NULL;
	int r = nsi_policy_load(NSINIT_POLICY, &policy, err);

	if (r == 0)
		o->store = policy->records;
	nsi_policy_free(policy);
	if (r < 0 && !o->dir)
		return r;
	if (!o->dir)
		o->dir = o->store.dir;
	return 0;
}

int cmd_records(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const struct options *o, struct nsi_error *err);
	} verbs[] = {{"list", list}, {"show", show}, {"play", play}, {"prune", prune}};
	struct nsi_error err = {0};
	struct options o;

	if (!parse_options(argc, argv, &o))
		return usage();
	if (need_root("records", "recordings are root's") != 0)
		return NSI_EXIT_FAILED;
	if (find_store(&o, &err) < 0)
		return report(&err);
	for (size_t i = 0; o.n_rest > 0 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(o.rest[0], verbs[i].name) != 0)
			continue;
		o.rest++;
		o.n_rest--;
		return verbs[i].run(&o, &err);
	}
	return list(&o, &err);
}
