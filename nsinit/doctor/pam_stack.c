#include "pam_stack.h"

#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_LINES = 512, MAX_DEPTH = 16, MAX_BYTES = 64 * 1024, MAX_WORDS = 64 };

/* ------------------------------------------------------------------ reading */

/* Where libpam looks, in this order. */
static int open_service(const char *name, char path[128])
{
	static const char *const directories[] = {"/etc/pam.d", "/usr/lib/pam.d"};
	int fd = -1;

	if (name[0] == '/') {
		snprintf(path, 128, "%s", name);
		return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	}
	for (size_t i = 0; i < 2 && fd < 0; i++) {
		snprintf(path, 128, "%s/%s", directories[i], name);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	}
	return fd;
}

/* Words, of which one in brackets may hold spaces; what follows "#" is none. */
static int split(char *line, char *words[MAX_WORDS])
{
	int n = 0;

	for (char *at = line + strspn(line, " \t"); *at && *at != '#' && n < MAX_WORDS;
		at += strspn(at, " \t")) {
		bool bracket = *at == '[';

		words[n++] = at;
		at += bracket ? strcspn(at, "]") + (strchr(at, ']') != NULL) : strcspn(at, " \t");
		if (*at)
			*at++ = '\0';
	}
	return n;
}

static int read_file(const char *name, const char *type, int level, int depth, struct pam_stack *stack);

static void add(struct pam_stack *stack, const struct pam_line *line)
{
	if (stack->n < MAX_LINES)
		stack->lines[stack->n++] = *line;
}

/* Files include files, as deep as pam.conf(5) lets them. */
/* NOLINTBEGIN(misc-no-recursion) */
static void take_include(const char *name, const char *type, int level, int depth, struct pam_stack *stack)
{
	if (read_file(name, type, level, depth + 1, stack) < 0 && !stack->missing[0])
		snprintf(stack->missing, sizeof(stack->missing), "%s", name);
}

static void take_line(char *text, const char *file, int number, const char *type, int level, int depth,
	struct pam_stack *stack)
{
	struct pam_line line = {.line = number, .level = level};
	char *words[MAX_WORDS];
	int n = split(text, words);

	if (n == 2 && strcmp(words[0], "@include") == 0)
		return take_include(words[1], type, level, depth, stack);
	if (n < 3)
		return;
	line.dash = words[0][0] == '-';
	if (strcasecmp(words[0] + line.dash, type) != 0)
		return;
	snprintf(line.file, sizeof(line.file), "%s", file);
	snprintf(line.control, sizeof(line.control), "%s", words[1]);
	if (strcasecmp(words[1], "include") == 0)
		return take_include(words[2], type, level, depth, stack);
	if (strcasecmp(words[1], "substack") == 0) {
		add(stack, &line);
		return take_include(words[2], type, level + 1, depth, stack);
	}
	const char *slash = strrchr(words[2], '/');
	snprintf(line.module, sizeof(line.module), "%s", slash ? slash + 1 : words[2]);
	for (int i = 3; i < n; i++) {
		size_t used = strlen(line.arguments);

		snprintf(line.arguments + used, sizeof(line.arguments) - used, "%s%s", used ? " " : "",
			words[i]);
	}
	add(stack, &line);
}

static int read_file(const char *name, const char *type, int level, int depth, struct pam_stack *stack)
{
	char path[128];
	cleanup_fd int fd = depth < MAX_DEPTH ? open_service(name, path) : -1;
	cleanup_free char *text = NULL;
	size_t len;
	int number = 0;

	if (fd < 0)
		return -ENOENT;
	if (depth == 0)
		memcpy(stack->file, path, sizeof(stack->file));
	if (nsi_read_fd(fd, path, MAX_BYTES, &text, &len, NULL) < 0)
		return -EIO;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		int first = ++number;

		/* A line goes on after a backslash. */
		for (char *end = line + strlen(line); rest && end > line && end[-1] == '\\'; number++) {
			end[-1] = ' ';
			*end = ' ';
			strsep(&rest, "\n");
			end = line + strlen(line);
		}
		take_line(line, path, first, type, level, depth, stack);
	}
	return 0;
}
/* NOLINTEND(misc-no-recursion) */

int stack_read(const char *service, const char *type, struct pam_stack *ret, struct nsi_error *err)
{
	*ret = (struct pam_stack){.lines = calloc(MAX_LINES, sizeof(struct pam_line))};
	int r = ret->lines ? read_file(service, type, 0, 0, ret) : -ENOMEM;

	if (r == 0)
		return 0;
	stack_free(ret);
	return nsi_fail(err, -r, "reading the PAM file of", service, NULL);
}

void stack_free(struct pam_stack *stack)
{
	free(stack->lines);
	stack->lines = NULL;
	stack->n = 0;
}

int stack_find(const struct pam_stack *stack, const char *module, int from)
{
	for (int i = from; i < stack->n; i++)
		if (strcmp(stack->lines[i].module, module) == 0)
			return i;
	return -1;
}

/* ------------------------------------------------------------------ what a line may do */

enum { GO_ON = 1, BAD = 2, DIE = 4, DONE = 8, RESET = 16, JUMP = 32 };

/* What can come of a module's success, or of anything else. */
struct outcomes {
	unsigned actions; /* of the above */
	int jumps[8], n_jumps;
};

static void add_action(struct outcomes *o, const char *action)
{
	static const struct {
		const char *name;
		unsigned action;
	} names[] = {{"ok", GO_ON}, {"ignore", GO_ON}, {"bad", BAD}, {"die", DIE}, {"done", DONE},
		{"reset", RESET}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(action, names[i].name) == 0)
			o->actions |= names[i].action;
	unsigned long long lines;
	if (nsi_parse_number(action, 1, MAX_LINES, &lines) && o->n_jumps < 8) {
		o->actions |= JUMP;
		o->jumps[o->n_jumps++] = (int)lines;
	}
}

static const char *spelled_out(const char *control)
{
	static const char *const words[][2] = {{"required", "[success=ok ignore=ignore default=bad]"},
		{"requisite", "[success=ok ignore=ignore default=die]"},
		{"sufficient", "[success=done default=ignore]"}, {"optional", "[success=ok default=ignore]"}};

	for (size_t i = 0; i < 4; i++)
		if (strcasecmp(control, words[i][0]) == 0)
			return words[i][1];
	return control;
}

static void read_control(
	const struct pam_line *line, struct outcomes *success, struct outcomes *failure, bool *ret_ignored)
{
	char text[256], *rest = text, *word, *otherwise = NULL;
	bool said = false;

	*success = *failure = (struct outcomes){0};
	snprintf(text, sizeof(text), "%s", spelled_out(line->control));
	while ((word = strsep(&rest, "[] \t"))) {
		char *action = strchr(word, '=');

		if (!action)
			continue;
		*action++ = '\0';
		if (strcmp(word, "success") == 0) {
			add_action(success, action);
			said = true;
		} else if (strcmp(word, "default") == 0) {
			otherwise = action;
		} else if (strcmp(word, "ignore") == 0) {
			*ret_ignored = true; /* no failure */
		} else if (strcmp(word, "new_authtok_reqd") != 0) {
			add_action(failure, action);
		}
	}
	add_action(failure, otherwise ? otherwise : "bad");
	if (!said)
		add_action(success, otherwise ? otherwise : "bad");
}

static void may_do(const struct pam_line *line, struct outcomes sets[2])
{
	bool ignored = false;

	read_control(line, &sets[0], &sets[1], &ignored);
	if (!line->module[0]) { /* a substack's head */
		sets[0] = (struct outcomes){.actions = GO_ON};
		sets[1] = (struct outcomes){0};
	} else if (strcmp(line->module, "pam_permit.so") == 0) {
		sets[1] = (struct outcomes){0};
	} else if (strcmp(line->module, "pam_deny.so") == 0) {
		sets[0] = (struct outcomes){0};
	} else if (ignored) {
		sets[1].actions |= GO_ON;
	}
}

bool line_is_binding(const struct pam_line *line)
{
	struct outcomes success, failure;
	bool ignored;

	read_control(line, &success, &failure, &ignored);
	return !(failure.actions & ~(unsigned)(BAD | DIE));
}

/* ------------------------------------------------------------------ ways through the stack */

struct walk {
	const struct pam_stack *stack;
	int target, culprit;
	bool seen[MAX_LINES][2];
};

/* The end of the substack that the line is in. */
static int end_of(const struct pam_stack *stack, int at)
{
	int level = stack->lines[at].level;

	while (at < stack->n && stack->lines[at].level >= level)
		at++;
	return at;
}

/* A substack counts as one line, and none of its lines leads out of it. */
static int jump(const struct pam_stack *stack, int at, int lines)
{
	int level = stack->lines[at].level, end = end_of(stack, at);

	for (; lines >= 0 && at < end; lines--)
		do
			at++;
		while (at < end && stack->lines[at].level > level);
	return at;
}

static bool succeeds_without(struct walk *w, int at, bool failed);

/* As deep as there are lines. */
/* NOLINTBEGIN(misc-no-recursion) */
/* From line `at` on to line `next`: past the target, that is. */
static bool leads_around(struct walk *w, int at, int next, bool failed)
{
	if (!succeeds_without(w, next, failed))
		return false;
	if (at < w->target && next > w->target)
		w->culprit = at;
	return true;
}

static bool goes_on(struct walk *w, int at, const struct outcomes *o, bool failed)
{
	int out = w->stack->lines[at].level > 0 ? end_of(w->stack, at) : w->stack->n;

	if ((o->actions & GO_ON && succeeds_without(w, at + 1, failed)) ||
		(o->actions & RESET && succeeds_without(w, at + 1, false)) ||
		(o->actions & BAD && succeeds_without(w, at + 1, true)) ||
		(o->actions & DONE && leads_around(w, at, out, failed)))
		return true;
	if (o->actions & DIE && out < w->stack->n && leads_around(w, at, out, true))
		return true;
	for (int i = 0; i < o->n_jumps; i++)
		if (leads_around(w, at, jump(w->stack, at, o->jumps[i]), failed))
			return true;
	return false;
}

static bool succeeds_without(struct walk *w, int at, bool failed)
{
	struct outcomes sets[2];

	if (at == w->target)
		return false;
	if (at >= w->stack->n)
		return !failed;
	if (w->seen[at][failed])
		return false;
	w->seen[at][failed] = true;
	may_do(&w->stack->lines[at], sets);
	return goes_on(w, at, &sets[0], failed) || goes_on(w, at, &sets[1], failed);
}
/* NOLINTEND(misc-no-recursion) */

bool stack_avoids(const struct pam_stack *stack, int target, int *ret_culprit)
{
	struct walk w = {.stack = stack, .target = target, .culprit = target};

	if (!succeeds_without(&w, 0, false))
		return false;
	*ret_culprit = w.culprit;
	return true;
}

int stack_stops_before(const struct pam_stack *stack, int target)
{
	struct outcomes sets[2];

	for (int i = 0; i < target; i++) {
		may_do(&stack->lines[i], sets);
		if (sets[1].actions & DIE && stack->lines[i].level == 0 &&
			strcmp(stack->lines[i].module, "pam_deny.so") != 0)
			return i;
	}
	return -1;
}
