#include "limits.h"

#include "../base/cleanup.h"
#include "../base/compat.h"
#include "../base/io.h"
#include "../base/str.h"
#include "proc.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { SCORE_LEAST = -999 };

static int fail_limit(const struct nsi_rlimit *limit, struct nsi_error *err)
{
	char name[32];

	snprintf(name, sizeof(name), "RLIMIT_%s", nsi_rlimit_names()[limit->resource]);
	return nsi_fail(err, errno, "setting", name,
		errno == EPERM ? "it is above what this host allows: the caller's hard limit, where "
				 "CAP_SYS_RESOURCE is missing, or fs.nr_open for RLIMIT_NOFILE"
			       : NULL);
}

int nsi_raise_limits(const struct nsi_limits *limits, struct nsi_error *err)
{
	struct rlimit now;

	for (int i = 0; i < limits->n && geteuid() == 0; i++) {
		const struct nsi_rlimit *wanted = &limits->list[i];
		const enum __rlimit_resource resource = (enum __rlimit_resource)wanted->resource;

		if (getrlimit(resource, &now) < 0)
			return fail_limit(wanted, err);
		if (now.rlim_max >= wanted->hard)
			continue;
		now.rlim_max = wanted->hard;
		if (setrlimit(resource, &now) < 0)
			return fail_limit(wanted, err);
	}
	return 0;
}

int nsi_set_limits(const struct nsi_limits *limits, struct nsi_error *err)
{
	struct rlimit limit;

	for (int i = 0; i < limits->n; i++) {
		const struct nsi_rlimit *wanted = &limits->list[i];
		const enum __rlimit_resource resource = (enum __rlimit_resource)wanted->resource;

		if (getrlimit(resource, &limit) < 0)
			return fail_limit(wanted, err);
		if (limit.rlim_max > wanted->hard)
			limit.rlim_max = wanted->hard;
		limit.rlim_cur = wanted->soft < limit.rlim_max ? wanted->soft : limit.rlim_max;
		if (setrlimit(resource, &limit) < 0)
			return fail_limit(wanted, err);
	}
	return 0;
}

static bool has_score(int score)
{
	char text[16], wanted[16];
	cleanup_fd int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	snprintf(wanted, sizeof(wanted), "%d\n", score);
	return strcmp(text, wanted) == 0;
}

static int write_score(const char *path, int score, struct nsi_error *err)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", score);
	int r = nsi_write_file(path, text);
	return r < 0 ? nsi_fail(err, -r, "setting oom_score_adj by", path,
			       r == -EACCES ? "to lower it needs CAP_SYS_RESOURCE" : NULL)
		     : 0;
}

int nsi_set_oom_score(int pidfd, const struct nsi_limits *limits, struct nsi_error *err)
{
	cleanup_fd int process = -1;
	char path[64];

	if (!limits->oom_given)
		return 0;
	if (pidfd < 0)
		return has_score(limits->oom_score_adj)
			       ? 0
			       : write_score("/proc/self/oom_score_adj", limits->oom_score_adj, err);
	int r = nsi_pidfd_dir(pidfd, &process, err);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/oom_score_adj", process);
	return write_score(path, limits->oom_score_adj, err);
}

void nsi_spare_process(int pidfd, int by)
{
	cleanup_fd int process = -1;
	cleanup_fd int file = nsi_pidfd_dir(pidfd, &process, NULL) < 0
				      ? -1
				      : openat(process, "oom_score_adj", O_RDWR | O_CLOEXEC);
	char text[16] = "";
	unsigned long long number;

	if (file < 0 || read(file, text, sizeof(text) - 1) <= 0)
		return;
	bool negative = text[0] == '-';
	text[strcspn(text, "\n")] = '\0';
	if (!nsi_parse_number(text + negative, 0, 1000, &number))
		return;
	int score = negative ? -(int)number : (int)number;
	/* The least would be never, not even where that is all that frees what its container has filled. */
	snprintf(text, sizeof(text), "%d", score - by < SCORE_LEAST ? SCORE_LEAST : score - by);
	if (score > SCORE_LEAST)
		(void)!pwrite(file, text, strlen(text), 0);
}
