#include "progress.h"

#include "../../libcore/act/loop.h"
#include "show.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 30, EVERY_MS = 100 };

static void draw(struct progress *p)
{
	static const char full[] = "##############################";
	unsigned long long share = p->total ? p->done * 100 / p->total : 100;
	char done[24], total[24];

	if (share > 100)
		share = 100;
	fprintf(stderr, "\r%s [%-*.*s] %3llu%% %s of %s ", p->what, WIDTH, (int)(share * WIDTH / 100), full,
		share, size_text(p->done, done, sizeof(done)), size_text(p->total, total, sizeof(total)));
	p->shown = loop_now();
}

void progress_start(struct progress *p, const char *what, unsigned long long total)
{
	*p = (struct progress){.what = what, .total = total, .on = isatty(STDERR_FILENO)};
	if (p->on)
		draw(p);
}

void progress_step(struct progress *p, unsigned long long more)
{
	p->done += more;
	if (p->on && loop_now() - p->shown >= EVERY_MS)
		draw(p);
}

void progress_end(struct progress *p)
{
	if (!p->on)
		return;
	draw(p);
	fputc('\n', stderr);
}
