#include "../../libcore/base/error.h"
#include "../console/show.h"
#include "records.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct old {
	size_t user;
	long long changed;
	unsigned long long bytes;
};

struct user {
	char name[256];
	size_t next, end;         /* of the list: the oldest that stays, and what is another's */
	unsigned long long bytes; /* of what stays */
	long long before;         /* what was last changed before that goes */
};

/* Sessions that go on are in none of this: nobody's recordings are to go because another's become large. */
struct pruning {
	bool dry, failed;
	long long before;
	struct old *list;
	size_t n;
	struct user *users;
	size_t n_users;
	unsigned long long bytes; /* of all that stays */
	unsigned long long gone;
	int sessions;
};

static void remove_session(struct pruning *p, int userdir, const struct records_session *s)
{
	for (size_t i = 0; !p->dry && i < s->n_files; i++)
		if (unlinkat(userdir, s->files[i], 0) < 0 && errno != ENOENT) {
			fprintf(stderr, "nsinit: removing %s: %s\n", s->files[i], strerrordesc_np(errno));
			p->failed = true;
		}
	p->gone += s->bytes;
	p->sessions++;
}

/* The one that is being read is the last. */
static struct user *user_of(struct pruning *p, const char *name)
{
	struct user *list = p->users;

	if (p->n_users > 0 && strcmp(list[p->n_users - 1].name, name) == 0)
		return &list[p->n_users - 1];
	list = reallocarray(list, p->n_users + 1, sizeof(*list));
	if (!list)
		return NULL;
	p->users = list;
	list[p->n_users] = (struct user){.next = p->n, .before = p->before};
	snprintf(list[p->n_users].name, sizeof(list[0].name), "%s", name);
	return &list[p->n_users++];
}

static int collect(int userdir, struct records_session *s, void *data)
{
	struct pruning *p = data;

	(void)userdir;
	if (s->live || s->changed < p->before)
		return 0;
	struct user *user = user_of(p, s->user);
	struct old *list = reallocarray(p->list, p->n + 1, sizeof(*list));
	if (list)
		p->list = list;
	if (!list || !user)
		return -ENOMEM;
	list[p->n++] = (struct old){p->n_users, s->changed, s->bytes};
	user->end = p->n;
	user->bytes += s->bytes;
	p->bytes += s->bytes;
	return 0;
}

static int remove_old(int userdir, struct records_session *s, void *data)
{
	struct pruning *p = data;
	long long before = p->before;

	for (size_t i = 0; i < p->n_users; i++)
		if (strcmp(p->users[i].name, s->user) == 0)
			before = p->users[i].before;
	if (!s->live && s->changed < before)
		remove_session(p, userdir, s);
	return 0;
}

/* Of each user for itself. */
static int older(const void *a, const void *b)
{
	const struct old *x = a, *y = b;

	if (x->user != y->user)
		return x->user < y->user ? -1 : 1;
	return x->changed < y->changed ? -1 : x->changed > y->changed;
}

static struct user *largest(const struct pruning *p)
{
	struct user *found = p->users;

	for (size_t i = 1; i < p->n_users; i++)
		if (p->users[i].bytes > found->bytes)
			found = &p->users[i];
	return found;
}

/* Until what stays is no more than `total`: the oldest of who has most then; those of one second together. */
static void find_lines(struct pruning *p, uint64_t total)
{
	if (p->n > 0)
		qsort(p->list, p->n, sizeof(*p->list), older);
	while (total && p->bytes > total) {
		struct user *user = largest(p);

		user->before = p->list[user->next].changed + 1;
		for (; user->next < user->end && p->list[user->next].changed < user->before; user->next++) {
			user->bytes -= p->list[user->next].bytes;
			p->bytes -= p->list[user->next].bytes;
		}
	}
}

int records_prune(const char *dir, int days, uint64_t total, bool dry, struct nsi_error *err)
{
	struct pruning p = {.dry = dry, .before = days ? time(NULL) - days * 86400LL : 0};
	char size[24];
	int r = records_each(dir, NULL, collect, &p, err);

	if (r == 0) {
		find_lines(&p, total);
		r = records_each(dir, NULL, remove_old, &p, err);
	}
	free(p.list);
	free(p.users);
	if (r == -ENOMEM)
		return nsi_fail(err, ENOMEM, "reading", dir, NULL);
	if (r < 0)
		return r;
	printf("%d session%s %s, %s\n", p.sessions, p.sessions == 1 ? "" : "s",
		dry ? "would be removed" : "removed", size_text(p.gone, size, sizeof(size)));
	return p.failed ? nsi_fail(err, EIO, "removing recordings in", dir, NULL) : 0;
}
