/*
 * nsinit check: what is found out, before anything is said of it. container.c, tree.c, policy.c and
 * overlaps.c find out, warnings.c judges containers, table.c and json.c tell.
 */
#ifndef NSINIT_CHECK_H
#define NSINIT_CHECK_H

#include "../../libcore/decide/plan.h"
#include "../../libcore/parse/policy.h"

#include <limits.h>
#include <sys/stat.h>

/* What is allowed, and weak. The code is for programs. */
struct check_warning {
	char code[32];
	int line; /* of the policy; 0: none */
	char message[1200];
	char remedy[384];
};

enum { CHECK_MAX_WARNINGS = 256, CHECK_MAX_TARGETS = 64 };

struct check_warnings {
	int line; /* that new ones get */
	int n;
	struct check_warning list[CHECK_MAX_WARNINGS];
};

void check_warn(struct check_warnings *w, const char *code, const char *remedy, const char *message, ...)
	__attribute__((format(printf, 4, 5)));
/* The error as a warning: what it says would happen at a login, or a start. */
void check_warn_error(
	struct check_warnings *w, const char *code, const char *what, const struct nsi_error *err);

/* A container.json, and what would be made of it. */
struct check_container {
	char file[PATH_MAX];
	struct nsi_spec *spec;
	struct nsi_plan *plan;
	struct nsi_login *login; /* NULL: as `nsinit exec` would start it, by root */
	bool rootless;           /* or by the ordinary user who asks, whose directory it is */
	bool user_unknown;       /* the names of "user" are those of an image that is not at hand */
};

/* A file, with the accounts of the directory it lies in, where it has some. */
int check_load_file(
	const char *path, struct check_container *c, struct check_warnings *w, struct nsi_error *err);
/* That of a root directory. */
int check_load_root(int rootfd, const char *path, struct check_container *c, struct check_warnings *w,
	struct nsi_error *err);
/* What a login would get; takes `login` over. `config` is a file outside, or "". */
int check_load_login(int rootfd, const char *path, const char *config, struct nsi_login *login,
	struct check_container *c, struct nsi_error *err);
void check_container_free(struct check_container *c);

void check_judge_container(const struct check_container *c, struct check_warnings *w);

/* A mount that the plan makes, in its order. False past the end; *at starts with 0. */
struct check_mount {
	const char *type;
	char target[258];
	const char *source, *options;  /* NULL: none */
	unsigned attributes;           /* MOUNT_ATTR_* */
	const struct nsi_mount *asked; /* by "mounts"; NULL: one that every such container has */
};
bool check_next_mount(const struct check_container *c, int *at, struct check_mount *ret);

/* Paths of one kind of operation, each once. How many. */
int check_targets(
	const struct check_container *c, enum nsi_op_kind kind, char targets[CHECK_MAX_TARGETS][258]);

enum check_life { CHECK_NO_LIFE, CHECK_LIVE, CHECK_STALE, CHECK_LIFE_UNKNOWN };

/* A root directory as it lies there. */
struct check_tree {
	char path[PATH_MAX];
	struct stat dir, file; /* the directory, its container.json */
	char refusal[1200];    /* why logins would not take it; "": they would */
	const char *shell;     /* NULL: there is none */
	bool passwd;
	int n_missing; /* mount points that are to be made */
	char missing[CHECK_MAX_TARGETS][258];
	enum check_life life; /* CHECK_STALE: a .nspid of no container */
	pid_t pid;            /* CHECK_LIVE: its pid 1 */
	int idmap;            /* 1: id mappings are possible; 0: not; -1: not tried */
};

void check_look_at_tree(int rootfd, const char *path, const struct check_container *c,
	struct check_tree *tree, struct check_warnings *w);

/* A rule of the policy. */
struct check_rule {
	const struct nsi_rule *rule;
	int hidden_by; /* line of the rule that matches before; 0: none does */
	bool loaded;   /* `container` is there: the path has no %-pattern */
	struct check_container container;
};

struct check_rules {
	struct nsi_policy *policy;
	struct check_rule *list;
};

int check_load_policy(
	const char *path, struct check_rules *rules, struct check_warnings *w, struct nsi_error *err);
/* Whether rule number `i` has a directory that others have too, or that lies in theirs. */
void check_judge_overlaps(const struct check_rules *rules, int i, struct check_warnings *w);
void check_rules_free(struct check_rules *rules);

/* All that was found. NULL: there is none. */
struct check_report {
	const char *path;
	const struct check_container *container;
	const struct check_tree *tree;
	const struct check_rules *rules;
	const struct check_warnings *warnings;
};

void check_print_table(const struct check_report *report);
void check_print_json(const struct check_report *report);
/* `page` is the manual page that helps, or NULL. */
void check_print_json_error(const struct nsi_error *err, const char *path, const char *page);

#endif
