#include "plan.h"

#include "../base/compat.h"
#include "../base/str.h"
#include "../parse/accounts.h"
#include "network.h"
#include "plan_mounts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { RANGE_SIZE = 65536 };

bool nsi_plan_wants_range(const struct nsi_spec *spec, const struct nsi_login *login)
{
	if (!login && spec->ids.n_uids)
		return false;
	return (spec->namespaces & CLONE_NEWUSER) || (login && login->decision.userns == NSI_USERNS_AUTO);
}

/* ------------------------------------------------------------------ operations */

static int add(struct nsi_plan *plan, enum nsi_op_kind kind, const char *source, const char *target,
	const char *options, unsigned attributes)
{
	struct nsi_op *op = &plan->ops[plan->n_ops];

	if (plan->n_ops == NSI_MAX_OPS || !nsi_copy(op->target, sizeof(op->target), target))
		return -E2BIG;
	op->kind = kind;
	op->source = source;
	op->options = options;
	op->attributes = attributes;
	plan->n_ops++;
	return 0;
}

static void add_standard_mounts(struct nsi_plan *plan)
{
	static const char *const devices[] = {"null", "zero", "full", "random", "urandom", "tty", NULL};
	static const char *const device_paths[] = {
		"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"};
	static const char *const links[][2] = {{"/proc/self/fd", "dev/fd"}, {"/proc/self/fd/0", "dev/stdin"},
		{"/proc/self/fd/1", "dev/stdout"}, {"/proc/self/fd/2", "dev/stderr"},
		{"pts/ptmx", "dev/ptmx"}};
	const unsigned inert = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	char target[64];

	add(plan, NSI_OP_FILESYSTEM, "proc", "proc", NULL, inert);
	add(plan, NSI_OP_SYSFS, "sysfs", "sys", NULL, inert | MOUNT_ATTR_RDONLY);
	add(plan, NSI_OP_FILESYSTEM, "tmpfs", "dev", "mode=0755,size=1m",
		MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	add(plan, NSI_OP_FILESYSTEM, "devpts", "dev/pts", "newinstance,ptmxmode=0666,mode=0620,gid=5",
		MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	add(plan, NSI_OP_FILESYSTEM, "tmpfs", "dev/shm", "mode=1777,size=64m", inert);
	if (plan->confine.namespaces & CLONE_NEWIPC)
		add(plan, NSI_OP_FILESYSTEM, "mqueue", "dev/mqueue", NULL, inert);
	for (size_t i = 0; devices[i]; i++) {
		snprintf(target, sizeof(target), "dev/%s", devices[i]);
		add(plan, NSI_OP_DEVICE, device_paths[i], target, NULL,
			MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		add(plan, NSI_OP_SYMLINK, links[i][0], links[i][1], NULL, 0);
}

static void add_devices(struct nsi_plan *plan, const struct nsi_spec *spec)
{
	memcpy(plan->devices, spec->devices, sizeof(plan->devices));
	plan->n_devices = spec->n_devices;
	for (int i = 0; i < plan->n_devices; i++)
		add(plan, NSI_OP_DEVICE, plan->devices[i].path, plan->devices[i].target + 1,
			plan->devices[i].optional ? "optional" : NULL, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
}

int nsi_plan_add(struct nsi_plan *plan, enum nsi_op_kind kind, const char *source, const char *target,
	const char *options, unsigned attributes)
{
	return add(plan, kind, source, target, options, attributes);
}

static char *own(struct nsi_plan *plan, char *text)
{
	for (size_t i = 0; i < sizeof(plan->texts) / sizeof(plan->texts[0]); i++) {
		if (!plan->texts[i]) {
			plan->texts[i] = text;
			break;
		}
	}
	return text;
}

__attribute__((format(printf, 3, 4))) static int add_file(
	struct nsi_plan *plan, const char *target, const char *format, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, format);
	int n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	return add(plan, NSI_OP_FILE, own(plan, text), target, NULL, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

/* A colon or a line end would make other fields of it. */
static const char *field(const char *text)
{
	return strpbrk(text, ":\n") ? "" : text;
}

/* The image's word for the user's shell; ours inside would only find itself. */
static void image_shell(const struct nsi_user *user, const struct nsi_image *image, char shell[256])
{
	struct nsi_account found;

	shell[0] = '\0';
	if (image->passwd && nsi_passwd_find(image->passwd, user->name, 0, &found) &&
		found.uid == user->uid && found.shell[0] == '/' && strcmp(found.shell, NSINIT_SHELL) != 0)
		nsi_copy(shell, sizeof(found.shell), found.shell);
	else if (strcmp(user->shell, NSINIT_SHELL) != 0)
		nsi_copy(shell, sizeof(user->shell), user->shell);
}

/* nsinit-shell inside, and what it is to run: the policy's word, else the first that the image has. */
static int add_shell(struct nsi_plan *plan, const struct nsi_login *login, const struct nsi_image *image)
{
	char shell[256], *text = NULL;
	int n;

	image_shell(&login->user, image, shell);
	if (login->decision.shell[0])
		n = asprintf(&text, "%s\n", login->decision.shell);
	else
		n = asprintf(&text, "%s\n/bin/sh\n", shell[0] ? shell : "/bin/sh");
	if (n < 0)
		return -ENOMEM;
	int r = add(plan, NSI_OP_NOTE, own(plan, text), &NSI_SHELL_NOTE[1], NULL, 0);
	if (r == 0)
		r = add(plan, NSI_OP_PROGRAM, NSINIT_SHELL, &NSINIT_SHELL[1], NULL,
			MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return r;
}

static int add_accounts(struct nsi_plan *plan, const struct nsi_user *user, const struct nsi_image *image)
{
	const char *passwd = image->passwd, *group = image->group, *name = field(user->group);
	struct nsi_account found;
	gid_t gid;
	int r = 0;

	if (!passwd)
		passwd = "root:x:0:0:root:/root:/bin/sh\n";
	if (!group)
		group = "root:x:0:\ntty:x:5:\n";
	/* Both ways: another's name on our uid, or our name on another uid, is not this user. */
	if (!nsi_passwd_find(passwd, user->name, 0, &found) || found.uid != user->uid)
		r = add_file(plan, "etc/passwd", "%s:x:%u:%u:%s:%s:%s\n%s", user->name, (unsigned)user->uid,
			(unsigned)user->gid, field(user->gecos), field(user->home), field(user->shell),
			passwd);
	if (r == 0 && !nsi_group_find(group, NULL, user->gid, &gid))
		r = add_file(plan, "etc/group", "%s%s:x:%u:\n", group, *name ? name : user->name,
			(unsigned)user->gid);
	return r;
}

/* ------------------------------------------------------------------ identity */

int nsi_idmap_make(uint32_t range, const uint32_t *same, int n, struct nsi_idmap map[NSI_MAX_IDMAP])
{
	uint32_t next = 0;
	int used = 0;

	for (int i = 0; i < n; i++) {
		if (same[i] < RANGE_SIZE && same[i] > next)
			map[used++] = (struct nsi_idmap){next, range + next, same[i] - next};
		else if (same[i] >= RANGE_SIZE && next < RANGE_SIZE) {
			map[used++] = (struct nsi_idmap){next, range + next, RANGE_SIZE - next};
			next = RANGE_SIZE;
		}
		map[used++] = (struct nsi_idmap){same[i], same[i], 1};
		if (same[i] < RANGE_SIZE)
			next = same[i] + 1;
	}
	if (next < RANGE_SIZE)
		map[used++] = (struct nsi_idmap){next, range + next, RANGE_SIZE - next};
	return used;
}

bool nsi_idmap_same(const struct nsi_idmap *map, int n, uint32_t id)
{
	for (int i = 0; i < n; i++)
		if (id >= map[i].outside && id - map[i].outside < map[i].count)
			return map[i].inside == map[i].outside;
	return false;
}

static void plan_ids(struct nsi_ids *ids, const struct nsi_login *login, uint32_t range)
{
	if (!login) {
		ids->n_uids = nsi_idmap_make(range, NULL, 0, ids->uids);
		ids->n_gids = nsi_idmap_make(range, NULL, 0, ids->gids);
		return;
	}
	/* sshd chowns the terminal to the login uid and the host's tty group, and drops to uid and gid. */
	uint32_t uid = login->user.uid, gid = login->user.gid;
	uint32_t gids[2] = {gid < NSI_TTY_GID ? gid : NSI_TTY_GID, gid < NSI_TTY_GID ? NSI_TTY_GID : gid};

	ids->n_uids = nsi_idmap_make(range, &uid, 1, ids->uids);
	ids->n_gids = nsi_idmap_make(range, gids, gid == NSI_TTY_GID ? 1 : 2, ids->gids);
}

int nsi_resolve_group(const char *text, const struct nsi_image *image, gid_t *ret_gid, struct nsi_error *err)
{
	unsigned long long number;

	if (nsi_parse_number(text, 0, 4294967294ULL, &number)) {
		*ret_gid = (gid_t)number;
		return 0;
	}
	if (image->group && nsi_group_find(image->group, text, 0, ret_gid))
		return 0;
	nsi_failf(err, ENOENT, "resolving group", text, NULL, "not in the container's /etc/group");
	return nsi_error_reason(err, "spec");
}

int nsi_resolve_user(const char *text, const struct nsi_image *image, uid_t *ret_uid, gid_t *ret_gid,
	struct nsi_error *err)
{
	unsigned long long number;
	struct nsi_account found = {0};
	char name[64];
	bool known;

	if (!nsi_copy(name, sizeof(name), text))
		return nsi_failf(err, EINVAL, "resolving user", text, NULL, "longer than 63 characters");
	char *group = strchr(name, ':');
	if (group)
		*group++ = '\0', group[strcspn(group, ",")] = '\0';
	if (nsi_parse_number(name, 0, 4294967294ULL, &number)) {
		known = image->passwd && nsi_passwd_find(image->passwd, NULL, (uid_t)number, &found);
		*ret_uid = (uid_t)number;
	} else {
		known = image->passwd && nsi_passwd_find(image->passwd, name, 0, &found);
		if (!known) {
			nsi_failf(err, ENOENT, "resolving user", name, NULL,
				"not in the container's /etc/passwd");
			return nsi_error_reason(err, "spec");
		}
		*ret_uid = found.uid;
	}
	*ret_gid = known ? found.gid : 0;
	return group ? nsi_resolve_group(group, image, ret_gid, err) : 0;
}

/* ------------------------------------------------------------------ the whole */

static int copy_environment(struct nsi_plan *plan, const struct nsi_spec *spec)
{
	size_t n = 0;

	while (spec->environment[n])
		n++;
	plan->environment = calloc(n + 1, sizeof(char *));
	if (!plan->environment)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		plan->environment[i] = strdup(spec->environment[i]);
		if (!plan->environment[i])
			return -ENOMEM;
	}
	return 0;
}

static int plan_login(struct nsi_plan *plan, const struct nsi_login *login, const struct nsi_image *image,
	struct nsi_error *err)
{
	const struct nsi_decision *d = &login->decision;
	int r = 0;

	plan->login.present = true;
	plan->login.uid = login->user.uid;
	plan->login.gid = login->user.gid;
	nsi_copy_array(plan->login.name, login->user.name);

	plan->own_ids = d->ownership == NSI_OWNERSHIP_SHIFTED;
	plan->image.present = d->image[0] != '\0';
	plan->image.ephemeral = d->ephemeral;
	nsi_copy_array(plan->image.size, d->ephemeral_size);
	if (d->home == NSI_HOME_BIND) {
		if (login->user.home[0] != '/' || !login->user.home[1] ||
			!nsi_copy(plan->home, sizeof(plan->home), login->user.home))
			return nsi_failf(err, EINVAL, "planning the home directory", login->user.home,
				"set home = \"none\" in the rule", "not a path that can be bound");
	}
	r = nsi_plan_add_mounts(plan, plan->home, false, err);
	if (r < 0)
		return r;
	if (plan->home[0])
		r = add(plan, NSI_OP_TREE, NULL, plan->home + 1, NULL, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (r == 0 && d->accounts == NSI_ACCOUNTS_AUTO)
		r = add_accounts(plan, &login->user, image);
	if (r == 0)
		r = add_shell(plan, login, image);
	if (r == 0 && !image->hosts)
		r = add_file(plan, "etc/hosts",
			"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\t%s\n",
			plan->hostname[0] ? plan->hostname : "container");
	/* Without the file glibc asks DNS before /etc/hosts: "localhost" would not resolve. */
	if (r == 0 && !image->nsswitch)
		r = add(plan, NSI_OP_FILE, "passwd: files\ngroup: files\nhosts: files dns\n",
			"etc/nsswitch.conf", NULL, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (r == 0 && d->dns == NSI_DNS_HOST && !plan->network.nameservers.n)
		r = add_file(plan, "etc/resolv.conf", "%s",
			image->host_resolv_conf ? image->host_resolv_conf : "");
	if (r == 0 && plan->home[0])
		return nsi_plan_add_mounts(plan, plan->home, true, err);
	return r < 0 ? nsi_fail(err, -r, "planning", d->rootfs, NULL) : 0;
}

/* `plan` is empty; what was cut down of `spec` is in its note already. */
static int make(const struct nsi_spec *spec, const struct nsi_login *login, const struct nsi_image *image,
	uint32_t range, struct nsi_plan *plan, struct nsi_error *err)
{
	char resolv_conf[256];
	int r;

	plan->confine.namespaces = spec->namespaces;
	plan->confine.capabilities = spec->capabilities;
	nsi_copy_array(plan->confine.working_dir, spec->working_dir);
	nsi_copy_array(plan->hostname, spec->hostname);
	plan->network = spec->network;
	plan->readonly_root = spec->readonly_fs;
	plan->loopback = (spec->namespaces & CLONE_NEWNET) && spec->network.type != NSI_NET_NONE;
	if (nsi_plan_wants_range(spec, login)) {
		plan->confine.namespaces |= CLONE_NEWUSER;
		plan_ids(&plan->confine.ids, login, range);
	}
	if (!login && spec->ids.n_uids) {
		plan->confine.ids = spec->ids;
		plan->given_ids = true;
	}
	add_standard_mounts(plan);
	add_devices(plan, spec);
	r = nsi_plan_process(plan, spec, err);
	if (r == 0 && (r = copy_environment(plan, spec)) < 0)
		nsi_fail(err, -r, "planning", "environment", NULL);
	if (r == 0)
		r = nsi_plan_resources(plan, &spec->resources, login ? &login->decision : NULL, err);
	if (r == 0 && login && spec->ids.n_uids)
		r = nsi_failf(err, EINVAL, "planning", "container.json",
			"remove \"uid_mappings\" and \"gid_mappings\"",
			"the ids of a login container are mapped by nsinit, its user's own to themselves");
	if (r == 0 && login && !(spec->namespaces & CLONE_NEWPID))
		r = nsi_failf(err, EINVAL, "planning", "container.json", "add \"NEWPID\" to \"namespaces\"",
			"a login container needs NEWPID, so that nothing of it outlives it");
	/* Also before "mounts", which may show /proc once more: with what is hidden in it by default. */
	if (r == 0 && spec->n_mounts > 0 && !spec->process.masked.given && !spec->process.readonly.given)
		r = nsi_plan_hide(plan, spec, err);
	if (r == 0)
		r = nsi_plan_copy_mounts(plan, spec, login, err);
	if (r == 0)
		r = login ? plan_login(plan, login, image, err) : nsi_plan_add_mounts(plan, "", false, err);
	if (r == 0 && nsi_resolv_conf(&plan->network.nameservers, resolv_conf, sizeof(resolv_conf)))
		r = add_file(plan, "etc/resolv.conf", "%s", resolv_conf);
	if (r == 0)
		r = nsi_plan_hide(plan, spec, err);
	if (r == 0 && !login && spec->user[0])
		r = nsi_resolve_identity(spec->user, image, &plan->confine, err);
	return r;
}

/* From the kernel: a supervisor keeps it, and most of its room, never written, takes no memory so. */
static struct nsi_plan *new_plan(void)
{
	void *room = mmap(
		NULL, sizeof(struct nsi_plan), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return room == MAP_FAILED ? NULL : room;
}

int nsi_plan_make(const struct nsi_spec *spec, const struct nsi_login *login, const struct nsi_image *image,
	uint32_t range, struct nsi_plan **ret_plan, struct nsi_error *err)
{
	struct nsi_plan *plan = new_plan();
	struct nsi_spec *allowed = malloc(sizeof(*allowed));
	int r;

	if (!plan || !allowed) {
		free(allowed);
		nsi_plan_free(plan);
		return nsi_fail(err, ENOMEM, "planning", "container", NULL);
	}
	*allowed = *spec; /* its pointers stay the caller's */
	r = login ? nsi_apply_ceilings(allowed, &login->decision, plan->limits_note, err) : 0;
	if (r == 0)
		r = make(allowed, login, image, range, plan, err);
	free(allowed);
	if (r < 0) {
		nsi_plan_free(plan);
		return r;
	}
	*ret_plan = plan;
	return 0;
}

void nsi_plan_free(struct nsi_plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; plan->environment && plan->environment[i]; i++)
		free(plan->environment[i]);
	free(plan->environment);
	free(plan->mounts);
	for (size_t i = 0; i < sizeof(plan->texts) / sizeof(plan->texts[0]); i++)
		free(plan->texts[i]);
	munmap(plan, sizeof(*plan));
}
