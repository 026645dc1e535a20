/*
 * What is known of live containers, in NSI_RUN_DIR. Only root reads and writes it:
 *
 *     <id>.lock         held while a container is looked for or started, and where it ends undisturbed
 *     <id>/state        struct nsi_state
 *     <id>/control      the supervisor's socket
 *     disabled          text, for how long no login is contained (`nsinit disable`)
 *     ranges/<n>        locked by the supervisor that uses the n-th range of ids
 *     leases/           lease.h
 *     filters/          filters.h
 *     roots             roots.h
 *     ranges/at-<uid>   the same for a root directory that a range owns already
 *     ephemeral/        a directory for each image and user whose changes are kept in memory
 *     doors/<uid>       a supervisor's socket for its login user, doors/nsinitd the broker's for everybody
 *
 * <id> is the rootfs directory's device and inode: two paths to one directory are one container. `.nspid` in
 * the rootfs is written for people and programs, and never read: whoever is root inside can write it.
 */
#ifndef NSINIT_STATE_H
#define NSINIT_STATE_H

#include "../base/error.h"

#include <stdint.h>
#include <sys/types.h>

#define NSI_RUN_DIR "/run/nsinit"

/* That directory for root; one of the caller's own where `nsinit exec` runs without privilege. Fills `buf`.
 */
const char *nsi_run_root(char buf[64]);

/* Above what useradd(8) hands out as subordinate ids and below 2^31, which some programs take for negative.
 */
enum { NSI_RANGE_BASE = 0x70000000, NSI_RANGE_SIZE = 65536, NSI_RANGES = 4094 };

enum { NSI_STATE_MAGIC = 0x6e736901, NSI_ID_SIZE = 40, NSI_BOOT_ID_SIZE = 40 };

struct nsi_state {
	uint32_t magic, size;
	char boot_id[NSI_BOOT_ID_SIZE];
	pid_t supervisor, pid1;
	uint64_t supervisor_start, pid1_start; /* clock ticks since boot, proc(5) stat field 22 */
	char rootfs[1024];                     /* for people */
	char user[256];                        /* the login user; "": nsinit exec */
	char cgroup[512];                      /* path of its directory; "": none */
};

/* The id of this boot, padded with zeros; "" when it cannot be told. */
void nsi_boot_id(char text[NSI_BOOT_ID_SIZE]);

/* Make NSI_RUN_DIR where it is missing; refuse one that is not root's alone. */
int nsi_run_dir(struct nsi_error *err);

/* The id of a rootfs directory. Refuses the host's own root directory. */
int nsi_container_id(int rootfd, char id[NSI_ID_SIZE], struct nsi_error *err);

/* Lock the container against other starters, for at most `timeout_ms`. Released by closing *ret_fd. */
int nsi_lock(const char *id, int timeout_ms, int *ret_fd, struct nsi_error *err);
/* Remove the lock's file. Only for who holds the lock: others who wait for it then turn to a fresh one. */
void nsi_lock_remove(const char *id);

/* Start time of a process, or 0 when there is none of that pid. */
uint64_t nsi_start_time(pid_t pid);

/* Open the process only if it is the one that started then, in this boot. -1: it is gone. */
int nsi_open_process(pid_t pid, uint64_t start);

/* Whether the `size` bytes that were read from a file are a record of this version and boot. */
bool nsi_state_accept(struct nsi_state *state, size_t size, const char boot_id[NSI_BOOT_ID_SIZE]);

/* Written, and seen by others from nsi_state_commit() on. */
int nsi_state_write(const char *id, struct nsi_state *state, struct nsi_error *err);
int nsi_state_commit(const char *id, struct nsi_error *err);
/* -ENOENT: none, or one of another boot. */
int nsi_state_read(const char *id, struct nsi_state *ret, struct nsi_error *err);

/* Remove the files of a container whose supervisor is gone, and what it left running. */
void nsi_state_sweep(const char *id, int rootfd, const struct nsi_state *state);
/* Remove the container's directory under NSI_RUN_DIR. */
void nsi_state_remove(const char *id);

/* Claim a range of 65536 host ids, starting the search at a place given by `id`. Held until *ret_fd is
 * closed. */
int nsi_claim_range(const char *id, uint32_t *ret_first, int *ret_fd, struct nsi_error *err);

/* Create a fresh .nspid, in place of whatever is there. */
int nsi_nspid_create(int rootfd, int *ret_fd, struct nsi_error *err);
/* Write the pid into it: decimal, no newline. */
int nsi_nspid_write(int fd, pid_t pid, struct nsi_error *err);

#endif
