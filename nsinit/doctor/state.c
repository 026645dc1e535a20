/* nsinit doctor: the installed programs, and what lies in /run/nsinit. */
#include "../../libcore/whole/state.h"
#include "../../libcore/base/cleanup.h"
#include "doctor.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

static void judge_programs(struct doctor *d)
{
	static const char *const programs[] = {NSINIT_START, NSINIT_PROGRAM, NSINIT_ENTER, NSINIT_INIT};
	struct stat st;

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (stat(programs[i], &st) < 0)
			doctor_find(d, DOCTOR_ERROR, "program-missing", programs[i], 0,
				"install nsinit completely", "it is not there: containers cannot be started");
		else if (st.st_uid != 0 || (st.st_mode & 022))
			doctor_find(d, DOCTOR_ERROR, "program-mode", programs[i], 0, "chown root; chmod 0755",
				"others than root can write what root runs");
	}
	if (stat(NSINIT_SHELL, &st) == 0 && (st.st_mode & (S_ISUID | S_ISGID | 022)))
		doctor_find(d, DOCTOR_ERROR, "program-mode", NSINIT_SHELL, 0, "chmod 0755",
			"its mode is %04o: it refuses to run set-uid or set-gid, and nobody but root may "
			"write it",
			(unsigned)(st.st_mode & 07777));
}

static void judge_disabled(struct doctor *d)
{
	unsigned seconds = nsi_disabled_seconds();

	if (seconds)
		doctor_find(d, DOCTOR_ERROR, "disabled", NSI_RUN_DIR "/disabled", 0, "nsinit enable",
			"nsinit is disabled: for another %u s every login is the host's", seconds);
}

static void judge_run_directory(struct doctor *d)
{
	struct stat st;

	if (lstat(NSI_RUN_DIR, &st) == 0 &&
		(!S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & 07777) != 0711))
		doctor_find(d, DOCTOR_ERROR, "run-directory", NSI_RUN_DIR, 0, "remove it",
			"it is not a directory of root's with mode 0711: logins are refused");
}

static void judge_container(struct doctor *d, const char *id)
{
	struct nsi_state state;
	char path[64];

	snprintf(path, sizeof(path), NSI_RUN_DIR "/%.40s", id);
	if (nsi_state_read(id, &state, NULL) < 0) {
		doctor_find(d, DOCTOR_WARNING, "stale-state", path, 0,
			"none is needed: the next start of the container removes it",
			"it is what another version of nsinit, or a start that was broken off, has left");
		return;
	}
	cleanup_fd int supervisor = nsi_open_process(state.supervisor, state.supervisor_start);
	if (supervisor >= 0)
		return;
	cleanup_fd int pid1 = nsi_open_process(state.pid1, state.pid1_start);
	doctor_find(d, DOCTOR_WARNING, "stale-state", path, 0,
		"none is needed: the next start of the container removes it",
		"the supervisor of %s was killed%s", state.rootfs,
		pid1 >= 0 ? ", and its process 1 still runs" : "");
}

/* One that is just started or ended has a lock that somebody holds; its state may be missing. */
static bool is_held(const char *id)
{
	char path[64];

	snprintf(path, sizeof(path), NSI_RUN_DIR "/%.40s.lock", id);
	cleanup_fd int lock = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) < 0;
}

static void judge_stale(struct doctor *d)
{
	DIR *dir = opendir(NSI_RUN_DIR);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_type == DT_DIR && strchr(entry->d_name, '-') && entry->d_name[0] != '.' &&
			!is_held(entry->d_name))
			judge_container(d, entry->d_name);
	if (dir)
		closedir(dir);
}

void doctor_state(struct doctor *d)
{
	judge_programs(d);
	judge_disabled(d);
	judge_run_directory(d);
	judge_stale(d);
}
