#include "live.h"

#include "../../libcore/act/cgroup.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/str.h"
#include "processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

static int read_live(const char *id, struct live *ret)
{
	ret->supervisor = -1;
	if (nsi_state_read(id, &ret->state, NULL) < 0)
		return -ESRCH;
	nsi_copy(ret->id, sizeof(ret->id), id);
	ret->supervisor = nsi_open_process(ret->state.supervisor, ret->state.supervisor_start);
	return ret->supervisor < 0 ? -ESRCH : 0;
}

int live_open(const char *dir, struct live *ret, struct nsi_error *err)
{
	cleanup_fd int rootfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char id[NSI_ID_SIZE];

	if (rootfd < 0)
		return nsi_fail(err, errno, "opening the rootfs directory", dir, NULL);
	int r = nsi_container_id(rootfd, id, err);
	if (r < 0)
		return r;
	if (read_live(id, ret) == 0)
		return 0;
	return nsi_failf(err, ESRCH, "looking at", dir,
		geteuid() == 0 ? NULL : "run it as root, if root has started it",
		"its container does not run");
}

void live_close(struct live *live)
{
	if (live->supervisor >= 0)
		close(nsi_take_fd(&live->supervisor));
}

int live_each(void (*visit)(const struct live *live, void *data), void *data)
{
	char root[64];
	DIR *dir = opendir(nsi_run_root(root));
	const struct dirent *entry;
	struct live live;
	int n = 0;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || !strchr(entry->d_name, '-') || entry->d_name[0] == '.' ||
			read_live(entry->d_name, &live) < 0)
			continue;
		visit(&live, data);
		live_close(&live);
		n++;
	}
	if (dir)
		closedir(dir);
	return n;
}

void live_emit(struct emit *e, const struct live *live)
{
	emit_text(e, "id", live->id);
	emit_text(e, "rootfs", live->state.rootfs);
}

long long live_seconds_since(uint64_t start)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec - (long long)(start / (uint64_t)sysconf(_SC_CLK_TCK));
}

long long live_age(const struct live *live)
{
	return live_seconds_since(live->state.pid1_start);
}

static void add_memory(const struct process *p, void *data)
{
	*(unsigned long long *)data += p->memory;
}

unsigned long long live_memory(const struct live *live, bool *ret_exact)
{
	cleanup_fd int dir =
		live->state.cgroup[0] ? open(live->state.cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	unsigned long long bytes = 0;
	char text[64];

	*ret_exact = dir >= 0 && nsi_cgroup_read(dir, "memory.current", text, sizeof(text)) > 0;
	if (*ret_exact) {
		text[strcspn(text, "\n")] = '\0';
		nsi_parse_number(text, 0, ~0ULL, &bytes);
	} else {
		processes_of(live, add_memory, &bytes);
	}
	return bytes;
}
