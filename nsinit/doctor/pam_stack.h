/* The lines that PAM goes through for a service, includes followed: pam.conf(5). */
#ifndef NSINIT_PAM_STACK_H
#define NSINIT_PAM_STACK_H

#include "../../libcore/base/error.h"

#include <stdbool.h>

struct pam_line {
	char file[128];
	int line;
	int level;         /* how many substacks it is in */
	bool dash;         /* a module that is not installed goes unnoticed */
	char control[256]; /* as written, "required" or "[...]" */
	char module[128];  /* the name without a directory; "": the head of a substack */
	char arguments[256];
};

struct pam_stack {
	struct pam_line *lines;
	int n;
	char file[128];    /* the service's */
	char missing[128]; /* an include that is not there; "": all are */
};

/* The lines of `type` ("session"). -ENOENT: the service has no file of its own. */
int stack_read(const char *service, const char *type, struct pam_stack *ret, struct nsi_error *err);
void stack_free(struct pam_stack *stack);

/* Index of the first line from `from` on that names the module, -1: none does. */
int stack_find(const struct pam_stack *stack, const char *module, int from);

/*
 * Whether a call can succeed without coming to line `target`; then *ret_culprit is the line that leads around
 * it: it ends the stack, or jumps over the line.
 */
bool stack_avoids(const struct pam_stack *stack, int target, int *ret_culprit);

/* A line before `target` whose failure ends the stack; -1: none. pam_deny is left out: it is there to fail.
 */
int stack_stops_before(const struct pam_stack *stack, int target);

/* Whether the failure of the line's module is the failure of the whole. */
bool line_is_binding(const struct pam_line *line);

#endif
