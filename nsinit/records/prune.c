#include "../../libcore/base/error.h"
#include "../console/show.h"
#include "records.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct old {
	long long changed;
	unsigned long long bytes;
};

struct pruning {
	bool dry, failed;
	long long before; /* what was last changed before that goes */
	struct old *list; /* of the sessions that have ended */
	size_t n, size;
	unsigned long long bytes; /* of all that stays */
	unsigned long long gone;
	int sessions;
};

static bool is_of(const char *file, const struct records_session *s)
{
	size_t len = strlen(s->name);

	return strncmp(file, s->name, len) == 0 && file[len] == '.';
}

static void remove_file(struct pruning *p, int userdir, const char *file)
{
	if (!p->dry && unlinkat(userdir, file, 0) < 0 && errno != ENOENT) {
		fprintf(stderr, "nsinit: removing %s: %s\n", file, strerrordesc_np(errno));
		p->failed = true;
	}
}

/* What is known of it last, so that what is left after a failure is found again. */
static void remove_session(struct pruning *p, int userdir, const struct records_session *s)
{
	char about[RECORDS_NAME + 8];

	for (int i = 0; i < s->n; i++)
		if (is_of(s->terminals[i].file, s))
			remove_file(p, userdir, s->terminals[i].file);
	snprintf(about, sizeof(about), "%s.json", s->name);
	remove_file(p, userdir, about);
	p->gone += s->bytes;
	p->sessions++;
}

static int collect(int userdir, const struct records_session *s, void *data)
{
	struct pruning *p = data;

	(void)userdir;
	p->bytes += s->bytes;
	if (s->live)
		return 0;
	if (p->n == p->size) {
		size_t size = p->size ? 2 * p->size : 256;
		struct old *list = reallocarray(p->list, size, sizeof(*list));

		if (!list)
			return -ENOMEM;
		p->list = list;
		p->size = size;
	}
	p->list[p->n++] = (struct old){s->changed, s->bytes};
	return 0;
}

static int remove_old(int userdir, const struct records_session *s, void *data)
{
	struct pruning *p = data;

	if (!s->live && s->changed < p->before)
		remove_session(p, userdir, s);
	return 0;
}

static int older(const void *a, const void *b)
{
	long long x = ((const struct old *)a)->changed, y = ((const struct old *)b)->changed;

	return x < y ? -1 : x > y;
}

/* What was changed before that goes, until what stays is no more than `total`; those of one second together.
 */
static void find_line(struct pruning *p, uint64_t total)
{
	qsort(p->list, p->n, sizeof(*p->list), older);
	for (size_t i = 0; i < p->n; i++) {
		if (p->list[i].changed >= p->before) {
			if (!total || p->bytes <= total)
				return;
			p->before = p->list[i].changed + 1;
		}
		p->bytes -= p->list[i].bytes;
	}
}

int records_prune(const char *dir, int days, uint64_t total, bool dry, struct nsi_error *err)
{
	struct pruning p = {.dry = dry, .before = days ? time(NULL) - days * 86400LL : 0};
	char size[24];
	int r = records_each(dir, NULL, collect, &p, err);

	if (r == 0) {
		find_line(&p, total);
		r = records_each(dir, NULL, remove_old, &p, err);
	}
	free(p.list);
	if (r == -ENOMEM)
		return nsi_fail(err, ENOMEM, "reading", dir, NULL);
	if (r < 0)
		return r;
	printf("%d session%s %s, %s\n", p.sessions, p.sessions == 1 ? "" : "s",
		dry ? "would be removed" : "removed", size_text(p.gone, size, sizeof(size)));
	return p.failed ? nsi_fail(err, EIO, "removing recordings in", dir, NULL) : 0;
}
