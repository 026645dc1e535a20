#include "processes.h"

#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/str.h"
#include "../../libcore/parse/idmaps.h"
#include "../../libcore/parse/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { MAX_LEVELS = 32 };

struct members {
	const char *kind; /* the namespace that makes one */
	struct stat namespace;
	struct nsi_idmap uids[NSI_MAX_IDMAP];
	int n_uids;
	int level; /* of the pid namespace: which of the numbers of NSpid, proc_pid_status(5) */
};

static ssize_t read_text(int dir, const char *file, char *buf, size_t size)
{
	cleanup_fd int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (n < 0)
		return -1;
	buf[n] = '\0';
	return n;
}

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

/* ------------------------------------------------------------------ who is one */

/* The namespace, or for pids one that lies below it: made inside, by a program that may do so. */
static bool is_member(const struct members *m, int process)
{
	char path[16];
	struct stat st;

	snprintf(path, sizeof(path), "ns/%s", m->kind);
	cleanup_fd int ns = openat(process, path, O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < MAX_LEVELS && ns >= 0 && fstat(ns, &st) == 0; i++) {
		if (same(&st, &m->namespace))
			return true;
		if (strcmp(m->kind, "pid") != 0)
			return false;
		int above = ioctl(ns, NS_GET_PARENT);
		close(ns);
		ns = above;
	}
	return false;
}

static bool find_namespace(int process, struct members *m)
{
	struct stat host;
	char text[4096];
	const char *rest = text;
	unsigned long long unused;

	m->kind = "pid";
	if (stat("/proc/self/ns/pid", &host) < 0 || fstatat(process, "ns/pid", &m->namespace, 0) < 0)
		return false;
	if (same(&host, &m->namespace)) {
		m->kind = "mnt";
		if (fstatat(process, "ns/mnt", &m->namespace, 0) < 0)
			return false;
	}
	if (read_text(process, "status", text, sizeof(text)) < 0)
		return false;
	while (nsi_status_number(text, "NSpid", m->level + 1, &unused))
		m->level++;
	if (read_text(process, "uid_map", text, sizeof(text)) < 0)
		return false;
	while (m->n_uids < NSI_MAX_IDMAP && nsi_next_idmap(&rest, &m->uids[m->n_uids]))
		m->n_uids++;
	return true;
}

/* ------------------------------------------------------------------ what it is */

static void read_command(int dir, const char *name, struct process *p)
{
	ssize_t n = read_text(dir, "cmdline", p->command, sizeof(p->command));

	if (n <= 0) {
		snprintf(p->command, sizeof(p->command), "[%s]", name);
		return;
	}
	while (n > 0 && !p->command[n - 1])
		n--;
	for (ssize_t i = 0; i < n; i++)
		if (!p->command[i])
			p->command[i] = ' ';
}

static bool read_stat(int dir, struct process *p, char name[64])
{
	enum { TTY = 7, RSS = 24 };
	unsigned long long tty = 0, pages = 0;
	char text[1024];

	if (read_text(dir, "stat", text, sizeof(text)) < 0 || !nsi_stat_name(text, name, 64, &p->state) ||
		!nsi_stat_start_time(text, &p->start))
		return false;
	nsi_stat_number(text, TTY, &tty);
	nsi_stat_number(text, RSS, &pages);
	p->memory = pages * (unsigned long long)sysconf(_SC_PAGESIZE);
	unsigned major_nr = (unsigned)tty >> 8 & 0xfff,
		 minor_nr = ((unsigned)tty & 0xff) | ((unsigned)tty >> 12 & 0xfff00);
	if (major_nr >= 136 && major_nr <= 143)
		snprintf(p->tty, sizeof(p->tty), "pts/%u", (major_nr - 136) * 256 + minor_nr);
	else if (tty)
		snprintf(p->tty, sizeof(p->tty), "%u:%u", major_nr, minor_nr);
	return true;
}

static void read_ids(const struct members *m, const char *status, struct process *p)
{
	enum { EFFECTIVE = 1 };
	unsigned long long uid = 0, inside = 0;

	nsi_status_number(status, "Uid", EFFECTIVE, &uid);
	nsi_status_number(status, "NSpid", m->level, &inside);
	p->uid = (uid_t)uid;
	p->inside = (pid_t)inside;
	p->inside_uid = -1;
	for (int i = 0; i < m->n_uids; i++)
		if (uid >= m->uids[i].outside && uid - m->uids[i].outside < m->uids[i].count)
			p->inside_uid = (long)(uid - m->uids[i].outside + m->uids[i].inside);
}

static bool look_at(const struct members *m, int dir, pid_t pid, struct process *p)
{
	char status[4096], name[64];

	memset(p, 0, sizeof(*p));
	p->pid = pid;
	if (!read_stat(dir, p, name) || read_text(dir, "status", status, sizeof(status)) < 0)
		return false;
	read_ids(m, status, p);
	read_command(dir, name, p);
	return true;
}

int processes_of(const struct live *live, void (*visit)(const struct process *p, void *data), void *data)
{
	cleanup_fd int pid1 = nsi_open_process(live->state.pid1, live->state.pid1_start);
	struct members m = {0};
	struct process p;
	char path[32];
	unsigned long long pid;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d", (int)live->state.pid1);
	cleanup_fd int first = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pid1 < 0 || first < 0 || !find_namespace(first, &m))
		return -ESRCH;
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	while (proc && (entry = readdir(proc))) {
		if (!nsi_parse_number(entry->d_name, 1, INT_MAX, &pid))
			continue;
		cleanup_fd int dir = openat(dirfd(proc), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0 || !is_member(&m, dir) || !look_at(&m, dir, (pid_t)pid, &p))
			continue;
		visit(&p, data);
		n++;
	}
	if (proc)
		closedir(proc);
	return n;
}
