/* nsinit init: make a root directory with a container.json, and say which rule leads there. */
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/str.h"
#include "../../libcore/parse/spec.h"
#include "../../libcore/whole/rootfs.h"
#include "../commands.h"
#include "../console/emit.h"
#include "../console/program.h"
#include "../console/show.h"
#include "oci.h"
#include "oci_json.h"
#include "unpack.h"

#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_PARENT "/srv/nsinit"

struct init {
	const char *debian, *tar, *oci, *image; /* one of them */
	const char *mirror, *variant, *include; /* for mmdebstrap */
	bool json, policy;
	char user[256];                            /* "": a directory was named */
	char parent[PATH_MAX], name[NAME_MAX + 1]; /* of the root directory */
	char path[PATH_MAX];
	char fresh[NAME_MAX + 1]; /* the directory in `parent` while it is made */
	int above, root;          /* descriptors of `parent` and `fresh`, or -1 */
	char *config;             /* of an OCI image */
	char warning[1200];       /* why logins would not take it; "": they would */
};

/* ------------------------------------------------------------------ where */

static int name_directory(struct init *in, const char *argument, struct nsi_error *err)
{
	struct nsi_user user;
	char copy[PATH_MAX];

	if (!strchr(argument, '/')) {
		int r = nsi_user_lookup(argument, &user, err);

		snprintf(in->user, sizeof(in->user), "%s", user.name);
		snprintf(in->parent, sizeof(in->parent), DEFAULT_PARENT);
		snprintf(in->name, sizeof(in->name), "%s", user.name);
		return r < 0 ? nsi_failf(err, ENOENT, "making a directory for", argument,
				       "a directory is named with a \"/\": ./NAME", "there is no such user")
			     : 0;
	}
	size_t len = strlen(argument);
	while (len > 1 && argument[len - 1] == '/')
		len--;
	if (len >= sizeof(copy))
		return nsi_fail(err, ENAMETOOLONG, "making", argument, NULL);
	snprintf(copy, sizeof(copy), "%.*s", (int)len, argument);
	char *slash = strrchr(copy, '/');
	if (!nsi_copy(in->name, sizeof(in->name), slash + 1) || !in->name[0] || strcmp(in->name, ".") == 0 ||
		strcmp(in->name, "..") == 0)
		return nsi_fail(err, EINVAL, "making", argument, NULL);
	slash[slash == copy] = '\0';
	return realpath(copy, in->parent) ? 0 : nsi_fail(err, errno, "opening", copy, NULL);
}

/* Where others could exchange what we make, or reach a set-uid file in it, it is not made. */
static int open_parent(struct init *in, struct nsi_error *err)
{
	if (in->user[0] && mkdir(DEFAULT_PARENT, 0700) < 0 && errno != EEXIST)
		return nsi_fail(err, errno, "making directory", DEFAULT_PARENT, NULL);
	if ((size_t)snprintf(in->path, sizeof(in->path), "%s/%s", strcmp(in->parent, "/") ? in->parent : "",
		    in->name) >= sizeof(in->path))
		return nsi_fail(err, ENAMETOOLONG, "making", in->name, NULL);
	return nsi_open_trusted(in->parent, O_RDONLY | O_DIRECTORY, &in->above, NULL, err);
}

static bool is_empty(int above, const char *name)
{
	cleanup_fd int fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool empty = dir;

	if (dir)
		nsi_take_fd(&fd);
	while (dir && empty && (entry = readdir(dir)))
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	if (dir)
		closedir(dir);
	return empty;
}

static int make_fresh(struct init *in, struct nsi_error *err)
{
	struct stat st;

	if (fstatat(in->above, in->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !is_empty(in->above, in->name))
		return nsi_failf(err, EEXIST, "making", in->path, "remove it, or choose another",
			"it is there already");
	if ((size_t)snprintf(in->fresh, sizeof(in->fresh), ".%s.new-%d", in->name, (int)getpid()) >=
		sizeof(in->fresh))
		return nsi_fail(err, ENAMETOOLONG, "making", in->path, NULL);
	if (mkdirat(in->above, in->fresh, 0700) < 0) {
		in->fresh[0] = '\0'; /* not ours to remove */
		return nsi_fail(err, errno, "making a directory in", in->parent, NULL);
	}
	in->root = openat(in->above, in->fresh, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return in->root < 0 ? nsi_fail(err, errno, "opening", in->fresh, NULL) : 0;
}

/* By a program that gets along with whatever depth an archive has made. */
static void discard(struct init *in)
{
	static char rm[] = "rm", how[] = "-rf", one[] = "--one-file-system", end[] = "--";
	char path[PATH_MAX + NAME_MAX + 2];
	char *const argv[] = {rm, how, one, end, path, NULL};
	struct program p;

	if (!in->fresh[0])
		return;
	snprintf(path, sizeof(path), "%s/%s", in->parent, in->fresh);
	if (program_start(argv, &(struct program_how){0}, &p, NULL) == 0)
		program_wait(&p);
}

/* ------------------------------------------------------------------ what */

static int run_mmdebstrap(const struct init *in, struct nsi_error *err)
{
	char path[PATH_MAX + NAME_MAX + 2], variant[128], include[1024];
	static char program[] = "mmdebstrap", mode[] = "--mode=root", quiet[] = "--quiet";
	char *argv[10] = {program, mode, variant};
	struct program p;
	int n = 3;

	snprintf(path, sizeof(path), "%s/%s", in->parent, in->fresh);
	snprintf(variant, sizeof(variant), "--variant=%s", in->variant ? in->variant : "minbase");
	snprintf(include, sizeof(include), "--include=%s", in->include ? in->include : "");
	if (!isatty(STDERR_FILENO)) /* on a terminal it shows its progress itself */
		argv[n++] = quiet;
	if (in->include)
		argv[n++] = include;
	argv[n++] = (char *)(uintptr_t)in->debian;
	argv[n++] = path;
	if (in->mirror)
		argv[n++] = (char *)(uintptr_t)in->mirror;
	int r = program_start(argv, &(struct program_how){0}, &p, err);
	if (r < 0)
		return r;
	int status = program_wait(&p);
	return status == 0 ? 0
			   : nsi_failf(err, EIO, "installing Debian", in->debian,
				     "see what mmdebstrap says above", "mmdebstrap has failed with status %d",
				     status);
}

static int unpack_archive(const struct init *in, struct nsi_error *err)
{
	cleanup_fd int fd = open(in->tar, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return nsi_fail(err, errno, "opening", in->tar, NULL);
	if (!S_ISREG(st.st_mode))
		return nsi_failf(err, EINVAL, "opening", in->tar, NULL, "not a regular file");
	return unpack(
		&(struct unpack){.root = in->root, .archive = fd, .shown = in->tar, .what = "unpacking"},
		err);
}

static int fill(struct init *in, struct nsi_error *err)
{
	if (in->debian)
		return run_mmdebstrap(in, err);
	if (in->tar)
		return unpack_archive(in, err);
	return oci_unpack(in->oci, in->root, &in->config, err);
}

/* The directory's name, where a host can have it. */
static const char *host_name(const struct init *in)
{
	size_t len = strlen(in->name);

	for (const char *p = in->name; *p; p++)
		if (!(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') && !(*p >= '0' && *p <= '9') &&
			!(*p == '-' && p > in->name && p[1]))
			return "";
	return len <= 63 ? in->name : "";
}

/* In place of whatever an archive has there. */
static int write_config(struct init *in, struct nsi_error *err)
{
	cleanup_free char *text = oci_make_container(in->config, host_name(in));
	struct nsi_spec *spec = NULL;

	if (!text)
		return nsi_failf(
			err, EINVAL, "reading", "the image's configuration", NULL, "it is no JSON object");
	int r = nsi_spec_parse("container.json", text, strlen(text), &spec, err);
	nsi_spec_free(spec);
	if (r < 0)
		return r;
	if ((unlinkat(in->root, "container.json", 0) < 0 && errno != ENOENT) ||
		(unlinkat(in->root, ".nspid", 0) < 0 && errno != ENOENT))
		return nsi_fail(err, errno, "removing", "container.json and .nspid of the archive", NULL);
	cleanup_fd int fd = openat(
		in->root, "container.json", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return nsi_fail(err, errno, "making", "container.json", NULL);
	r = nsi_write_full(fd, text, strlen(text));
	if (r == 0)
		r = nsi_write_full(fd, "\n", 1);
	return r < 0 ? nsi_fail(err, -r, "writing", "container.json", NULL) : 0;
}

/* It is root's, whatever owner the archive has for it. */
static int finish(struct init *in, struct nsi_error *err)
{
	int r = write_config(in, err);

	if (r == 0 && (fchown(in->root, 0, 0) < 0 || fchmod(in->root, 0755) < 0))
		r = nsi_fail(err, errno, "changing owner and mode of", in->path, NULL);
	if (r == 0 && renameat(in->above, in->fresh, in->above, in->name) < 0)
		r = nsi_fail(err, errno, "renaming to", in->path, NULL);
	if (r == 0)
		in->fresh[0] = '\0';
	return r;
}

/* ------------------------------------------------------------------ the answer */

static void look_as_login(struct init *in)
{
	struct nsi_decision login = {.verdict = NSI_CONTAINER};
	struct nsi_error err = {0};
	cleanup_fd int fd = -1;
	int r = 0;

	if (in->image)
		r = nsi_open_trusted(in->image, O_PATH | O_DIRECTORY, &fd, NULL, &err);
	else if (nsi_copy(login.rootfs, sizeof(login.rootfs), in->path))
		r = nsi_rootfs_open(&login, &fd, &err);
	else
		r = nsi_failf(
			&err, ENAMETOOLONG, "checking", in->path, NULL, "longer than a policy can name");
	if (r == 0 && in->image && faccessat(fd, "container.json", F_OK, 0) < 0)
		r = nsi_failf(&err, ENOENT, "checking", in->image, "write one: container.json(5)",
			"it has no container.json");
	if (r < 0)
		nsi_error_text(&err, in->warning, sizeof(in->warning));
}

static void make_rule(const struct init *in, char *rule, size_t size)
{
	const char *user = in->user[0] ? in->user : "USER";

	if (in->image)
		snprintf(rule, size, "{ user = \"%s\"; image = \"%s\"; rootfs = \"%s\"; },", user, in->image,
			in->path);
	else
		snprintf(rule, size, "{ user = \"%s\"; rootfs = \"%s\"; },", user, in->path);
}

static void tell(struct init *in)
{
	char rule[2 * PATH_MAX + 512];
	struct emit e = {0};

	look_as_login(in);
	make_rule(in, rule, sizeof(rule));
	if (in->json) {
		emit_open(&e, NULL, '{');
		emit_text(&e, "rootfs", in->path);
		emit_text(&e, "image", in->image);
		emit_text(&e, "user", in->user[0] ? in->user : NULL);
		emit_text(&e, "rule", rule);
		emit_known(&e, "logins_refused", in->warning);
		emit_close(&e, '}');
		return;
	}
	if (!in->image && !in->policy) {
		print_text(in->path);
		puts(" is made, with a container.json");
	}
	if (in->image || in->policy) {
		print_text(rule);
		putchar('\n');
	}
	if (in->warning[0])
		fprintf(stderr, "nsinit: warning: logins would be refused: %s\n", in->warning);
}

static bool parse_options(int argc, char **argv, struct init *in)
{
	static const struct option longs[] = {{"debian", required_argument, NULL, 'd'},
		{"tar", required_argument, NULL, 't'}, {"oci", required_argument, NULL, 'o'},
		{"image", required_argument, NULL, 'i'}, {"mirror", required_argument, NULL, 'm'},
		{"variant", required_argument, NULL, 'v'}, {"include", required_argument, NULL, 'n'},
		{"json", no_argument, NULL, 'j'}, {"policy", no_argument, NULL, 'p'}, {0}};
	const char **const texts[] = {['d'] = &in->debian,
		['t'] = &in->tar,
		['o'] = &in->oci,
		['i'] = &in->image,
		['m'] = &in->mirror,
		['v'] = &in->variant,
		['n'] = &in->include};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == '?')
			return false;
		in->json |= c == 'j';
		in->policy |= c == 'p';
		if (c != 'j' && c != 'p')
			*texts[c] = optarg;
	}
	bool for_debian = in->mirror || in->variant || in->include;
	return argc - optind == 1 && !!in->debian + !!in->tar + !!in->oci + !!in->image == 1 &&
	       (in->debian || !for_debian) && (!in->debian || in->debian[0] != '-') &&
	       (!in->mirror || in->mirror[0] != '-');
}

static int make(struct init *in, struct nsi_error *err)
{
	int r = open_parent(in, err);

	if (r < 0 || in->image)
		return r;
	r = make_fresh(in, err);
	if (r == 0)
		r = fill(in, err);
	if (r == 0)
		r = finish(in, err);
	return r;
}

int cmd_init(int argc, char **argv)
{
	struct init in = {.above = -1, .root = -1};
	struct nsi_error err = {0};

	if (!parse_options(argc, argv, &in)) {
		print_usage("init");
		return NSI_EXIT_FAILED;
	}
	if (need_root("init", "what it makes is to be root's") != 0)
		return NSI_EXIT_FAILED;
	/* From a terminal it reaches the programs that work for us; what they have made is removed then. */
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	int r = name_directory(&in, argv[optind], &err);
	if (r == 0)
		r = make(&in, &err);
	if (r == 0)
		tell(&in);
	discard(&in);
	free(in.config);
	if (in.above >= 0)
		close(in.above);
	if (in.root >= 0)
		close(in.root);
	return r < 0 ? report(&err) : 0;
}
