/* nsinit exec: spawn the container of a rootfs directory with a command as its pid 1, or join it if it lives.
 */
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/compat.h"
#include "../commands.h"
#include "front.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

static int usage(void)
{
	fputs("usage: nsinit exec [-C DIR | --for USER] [-t|-T] [-d] [-u USER[:GROUP]] [-w DIR]\n"
	      "                   [-e NAME=VALUE] [--init] [--] COMMAND...\n",
		stderr);
	return NSI_EXIT_FAILED;
}

static bool parse_options(int argc, char **argv, struct exec_options *o)
{
	static const struct option longs[] = {
		{"init", no_argument, NULL, 'i'}, {"for", required_argument, NULL, 'f'}, {0}};
	int c;

	*o = (struct exec_options){.tty = -1};
	while ((c = getopt_long(argc, argv, "+C:tTdu:w:e:", longs, NULL)) != -1) {
		switch (c) {
		case 'C':
			o->dir = optarg;
			break;
		case 't':
			o->tty = 1;
			break;
		case 'T':
			o->tty = 0;
			break;
		case 'd':
			o->detach = true;
			break;
		case 'u':
			o->user = optarg;
			break;
		case 'w':
			o->workdir = optarg;
			break;
		case 'e':
			if (o->n_set == EXEC_MAX_SET || optarg[0] == '=' || !strchr(optarg, '='))
				return false;
			o->set[o->n_set++] = optarg;
			break;
		case 'i':
			o->init = true;
			break;
		case 'f':
			o->owner = optarg;
			break;
		default:
			return false;
		}
	}
	o->command = argv + optind;
	return optind < argc && !(o->detach && o->tty == 1) && !(o->dir && o->owner);
}

static int open_dir(const struct exec_options *o, int *ret_fd, struct nsi_error *err)
{
	const char *dir = o->dir ? o->dir : ".";

	if (o->owner)
		return 0;
	*ret_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? nsi_fail(err, errno, "opening the rootfs directory", dir, NULL) : 0;
}

/* A caller may have closed some of 0, 1 and 2: what we open next must not take their places. */
static bool fill_stdio(void)
{
	for (;;) {
		int fd = open("/dev/null", O_RDWR);

		if (fd > 2)
			return close(fd) == 0;
		if (fd < 0)
			return false;
	}
}

/*
 * In the background: a process of its own session without input or output. The parent waits to hear whether
 * the command could be started, prints the process's pid or leaves it its standard error, and ends with that
 * status.
 */
static bool detach(struct front *f)
{
	int status = NSI_EXIT_FAILED, ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	pid_t pid = fork();
	if (pid < 0)
		return false;
	if (pid > 0) {
		close(ends[1]);
		if (read(ends[0], &status, sizeof(status)) == (ssize_t)sizeof(status) && status == 0)
			printf("%d\n", (int)pid);
		exit(status);
	}
	close(ends[0]);
	f->started = ends[1];
	f->parent_stderr = fcntl(2, F_DUPFD_CLOEXEC, 3);
	setsid();
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	return fill_stdio();
}

static int fail(struct front *f, const struct nsi_error *err)
{
	if (f->parent_stderr >= 0)
		dup2(f->parent_stderr, 2);
	int status = report(err);
	front_tell(f, status);
	return status;
}

static int prepare_and_run(const struct exec_options *o, int rootfd, struct front *f, struct nsi_error *err)
{
	struct nsi_exec exec = {.image = -1, .tty = f->tty, .umask = 0022};
	enum relay_way ways[3];

	f->signals = nsi_block_signals();
	for (int fd = 0; fd < 3; fd++)
		ways[fd] = f->tty ? RELAY_TERMINAL : relay_may_cross(fd) ? RELAY_PASS : RELAY_COPY;

	f->loop = loop_new();
	f->relay = f->loop ? relay_new(f->loop, ways) : NULL;
	if (!f->relay || f->signals < 0)
		return nsi_fail(err, ENOMEM, "preparing", "standard input and output", NULL);
	memcpy(exec.stdio, relay_stdio(f->relay), sizeof(exec.stdio));
	int r = front_run(o, rootfd, f, &exec, err);
	relay_finish(f->relay);
	loop_free(f->loop);
	return r;
}

int cmd_exec(int argc, char **argv)
{
	struct exec_options o;
	struct nsi_error err = {0};
	struct front f = {.started = -1, .parent_stderr = -1};
	int rootfd = -1, r;

	if (!fill_stdio() || !parse_options(argc, argv, &o))
		return usage();
	if (nsi_close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		r = nsi_fail(&err, errno, "marking for closing", "the caller's descriptors", NULL);
	else
		r = open_dir(&o, &rootfd, &err);
	if (r < 0)
		return report(&err);
	if (geteuid() == 0)
		prctl(PR_SET_DUMPABLE, 0);
	f.tty = o.tty == 1 || (o.tty < 0 && !o.detach && isatty(0) && isatty(1));
	if (o.detach && !detach(&f))
		return NSI_EXIT_FAILED;
	r = prepare_and_run(&o, rootfd, &f, &err);
	if (rootfd >= 0)
		close(rootfd);
	return r < 0 ? fail(&f, &err) : r;
}
