/* nsinit check: a container.json, and what would be made of it. Nothing is changed. */
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/str.h"
#include "../../libcore/decide/network.h"
#include "../container/image.h"
#include "../container/network.h"
#include "../container/rootless.h"
#include "check.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>

static int parse_fd(int fd, struct check_container *c, struct nsi_error *err)
{
	cleanup_free char *text = NULL;
	size_t len;
	int r = nsi_read_fd(fd, c->file, NSI_SPEC_MAX_BYTES, &text, &len, err);

	return r < 0 ? r : nsi_spec_parse(c->file, text, len, &c->spec, err);
}

static int plan(struct check_container *c, const struct nsi_image *image, struct nsi_error *err)
{
	struct nsi_confinement who;
	char user[sizeof(c->spec->user)];
	int r;

	/* The image whose names these are may be elsewhere. */
	nsi_copy_array(user, c->spec->user);
	c->user_unknown &= user[0] && nsi_resolve_identity(user, image, &who, NULL) < 0;
	if (c->user_unknown)
		c->spec->user[0] = '\0';
	r = nsi_plan_make(c->spec, c->login, image, 0, &c->plan, err);
	nsi_copy_array(c->spec->user, user);
	return r;
}

/* What needs root is told, and the rest as it would be for root. */
static void plan_rootless(struct check_container *c, struct check_warnings *w)
{
	struct nsi_error err = {0};

	if (rootless_plan(c->plan, &err) < 0)
		check_warn_error(w, "needs-root", "you could not start it yourself", &err);
}

static int plan_with_image(struct check_container *c, int view, struct nsi_error *err)
{
	struct nsi_image image = {0};
	int r = image_read_all(view, &image, err);

	if (r == 0)
		r = plan(c, &image, err);
	image_free(&image);
	return r;
}

/* What the policy of this host knows of the bridges. */
static void add_networks(struct check_container *c, struct check_warnings *w)
{
	struct nsi_network_policy policy = {0};
	struct nsi_error err = {0};

	if (c->rootless)
		return;
	int r = c->spec->network.n_interfaces ? network_policy(&policy, &err) : 0;

	if (r == 0)
		r = nsi_network_decide(c->spec, &policy, false, false, &err);
	if (r < 0)
		check_warn_error(w, "network", "it could not be started with this network", &err);
}

int check_load_file(
	const char *path, struct check_container *c, struct check_warnings *w, struct nsi_error *err)
{
	char dir[PATH_MAX];
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), view = -1;

	*c = (struct check_container){.user_unknown = true};
	snprintf(c->file, sizeof(c->file), "%s", path);
	if (fd < 0)
		return nsi_fail(err, errno, "opening", path, NULL);
	int r = parse_fd(fd, c, err);
	if (r < 0)
		return r;
	snprintf(dir, sizeof(dir), "%s", path);
	view = open(dirname(dir), O_PATH | O_DIRECTORY | O_CLOEXEC);
	add_networks(c, w);
	return plan_with_image(c, view, err);
}

static int open_in_root(int rootfd, struct check_container *c, struct nsi_error *err)
{
	cleanup_fd int fd = -1;
	int r = nsi_open_in_root(rootfd, "container.json", c->file, &fd, err);

	return r < 0 ? r : parse_fd(fd, c, err);
}

int check_load_root(int rootfd, const char *path, struct check_container *c, struct check_warnings *w,
	struct nsi_error *err)
{
	struct stat st;

	*c = (struct check_container){0};
	snprintf(c->file, sizeof(c->file), "%.4000s/container.json", path);
	c->rootless = geteuid() != 0 && fstat(rootfd, &st) == 0 && st.st_uid == geteuid();
	int r = open_in_root(rootfd, c, err);
	if (r < 0)
		return r;
	add_networks(c, w);
	r = plan_with_image(c, rootfd, err);
	if (r == 0 && c->rootless)
		plan_rootless(c, w);
	return r;
}

int check_load_login(int rootfd, const char *path, const char *config, struct nsi_login *login,
	struct check_container *c, struct nsi_error *err)
{
	cleanup_fd int fd = -1;
	int r;

	*c = (struct check_container){.login = login};
	snprintf(c->file, sizeof(c->file), "%.4000s/container.json", path);
	if (config[0]) {
		snprintf(c->file, sizeof(c->file), "%s", config);
		r = nsi_open_trusted(config, O_RDONLY, &fd, NULL, err);
		if (r == 0)
			r = parse_fd(fd, c, err);
	} else {
		r = open_in_root(rootfd, c, err);
	}
	if (r == 0)
		r = nsi_network_decide(
			c->spec, &login->decision.network, true, login->decision.dns == NSI_DNS_HOST, err);
	return r < 0 ? r : plan_with_image(c, rootfd, err);
}

void check_container_free(struct check_container *c)
{
	nsi_spec_free(c->spec);
	nsi_plan_free(c->plan);
	free(c->login);
	*c = (struct check_container){0};
}

/* ------------------------------------------------------------------ of the plan */

static void source_of(const struct check_container *c, const struct nsi_op *op, struct check_mount *m)
{
	static const char *const types[] = {"bind", "tmpfs", "proc", "sysfs", "overlay", "mqueue"};

	if (m->asked) {
		m->type = types[m->asked->type];
		m->source = m->asked->source[0] ? m->asked->source : NULL;
	} else if (op->kind == NSI_OP_FILESYSTEM || op->kind == NSI_OP_SYSFS) {
		m->type = op->source;
	} else if (op->kind == NSI_OP_TREE) {
		m->type = "bind";
		m->source = c->plan->home;
	} else if (op->kind == NSI_OP_FILE) {
		m->type = "file"; /* of ours, whose text is no path */
	} else {
		m->type = "bind";
		m->source = op->source;
	}
}

bool check_next_mount(const struct check_container *c, int *at, struct check_mount *ret)
{
	const unsigned kinds = 1U << NSI_OP_FILESYSTEM | 1U << NSI_OP_SYSFS | 1U << NSI_OP_TREE |
			       1U << NSI_OP_AGAIN | 1U << NSI_OP_FILE | 1U << NSI_OP_ZONE |
			       1U << NSI_OP_PROGRAM;

	while (*at < c->plan->n_ops && !(kinds & 1U << c->plan->ops[*at].kind))
		(*at)++;
	if (*at == c->plan->n_ops)
		return false;
	const struct nsi_op *op = &c->plan->ops[(*at)++];
	*ret = (struct check_mount){.options = op->options, .attributes = op->attributes};
	if (op->tree > 0)
		ret->asked = &c->plan->mounts[op->tree - 1];
	snprintf(ret->target, sizeof(ret->target), "/%s", op->target);
	source_of(c, op, ret);
	return true;
}

int check_targets(
	const struct check_container *c, enum nsi_op_kind kind, char targets[CHECK_MAX_TARGETS][258])
{
	int n = 0;

	for (int i = 0; i < c->plan->n_ops && n < CHECK_MAX_TARGETS; i++) {
		bool seen = c->plan->ops[i].kind != kind;

		snprintf(targets[n], sizeof(targets[n]), "/%s", c->plan->ops[i].target);
		for (int k = 0; k < n; k++)
			seen |= strcmp(targets[k], targets[n]) == 0;
		n += !seen;
	}
	return n;
}
