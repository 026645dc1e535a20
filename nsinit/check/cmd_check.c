/* nsinit check: is this container.json, root directory or policy what was meant? */
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/error.h"
#include "../commands.h"
#include "check.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { EXIT_WARNINGS = 1 };

struct options {
	bool json, strict;
};

static int fail(const struct options *o, const struct nsi_error *err, const char *path, const char *page)
{
	if (o->json) {
		check_print_json_error(err, path, page);
		return err->exit_status ? err->exit_status : NSI_EXIT_FAILED;
	}
	int status = report(err);
	if (err->key[0])
		fprintf(stderr, "  key:  %s\n", err->key);
	/* What could not even be opened is no matter of what may stand in it. */
	if (err->line || err->key[0])
		fprintf(stderr, "  help: see %s\n", page);
	return status;
}

static int tell(const struct options *o, const struct check_report *found)
{
	if (o->json)
		check_print_json(found);
	else
		check_print_table(found);
	return o->strict && found->warnings->n ? EXIT_WARNINGS : 0;
}

static int check_container(const struct options *o, const char *path, struct check_warnings *w)
{
	struct check_container c;
	struct nsi_error err = {0};
	int r = check_load_file(path, &c, w, &err), status;

	if (r < 0) {
		status = fail(o, &err, path, "container.json(5)");
	} else {
		check_judge_container(&c, w);
		status = tell(o, &(struct check_report){.path = path, .container = &c, .warnings = w});
	}
	check_container_free(&c);
	return status;
}

static int check_rootfs(const struct options *o, const char *path, struct check_warnings *w)
{
	cleanup_fd int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_free struct check_tree *tree = calloc(1, sizeof(*tree));
	struct check_container c = {0};
	struct nsi_error err = {0};
	char real[PATH_MAX];
	int r = 0, status;

	if (fd < 0 || !tree || !realpath(path, real))
		r = nsi_fail(&err, tree ? errno : ENOMEM, "opening", path, NULL);
	if (r == 0)
		r = check_load_root(fd, path, &c, w, &err);
	if (r < 0) {
		status = fail(o, &err, path, "container.json(5)");
	} else {
		check_judge_container(&c, w);
		check_look_at_tree(fd, real, &c, tree, w);
		status = tell(o,
			&(struct check_report){.path = path, .container = &c, .tree = tree, .warnings = w});
	}
	check_container_free(&c);
	return status;
}

static int check_policy(const struct options *o, const char *path, struct check_warnings *w)
{
	struct check_rules rules;
	struct nsi_error err = {0};
	int r = check_load_policy(path, &rules, w, &err), status;

	if (r < 0)
		status = fail(o, &err, path, "nsinit.conf(5)");
	else
		status = tell(o, &(struct check_report){.path = path, .rules = &rules, .warnings = w});
	check_rules_free(&rules);
	return status;
}

static int usage(void)
{
	fputs("usage: nsinit check [--json] [--strict] [CONTAINER.JSON | ROOTFS | POLICY.conf]\n", stderr);
	return NSI_EXIT_FAILED;
}

int cmd_check(int argc, char **argv)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, 'j'}, {"strict", no_argument, NULL, 's'}, {0}};
	cleanup_free struct check_warnings *w = calloc(1, sizeof(*w));
	struct options o = {0};
	struct stat st;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == '?')
			return usage();
		o.json |= c == 'j';
		o.strict |= c == 's';
	}
	if (argc - optind > 1)
		return usage();
	if (!w) {
		struct nsi_error err = {0};

		nsi_fail(&err, ENOMEM, "checking", argc > optind ? argv[optind] : "container.json", NULL);
		return report(&err);
	}
	const char *path = argc > optind ? argv[optind] : "container.json";
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return check_rootfs(&o, path, w);
	size_t len = strlen(path);
	return len > 5 && strcmp(path + len - 5, ".conf") == 0 ? check_policy(&o, path, w)
							       : check_container(&o, path, w);
}
