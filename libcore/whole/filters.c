#include "filters.h"

#include "../base/cleanup.h"
#include "../base/io.h"
#include "state.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_KEPT = 64, PATH_SIZE = 128 };

/* What a file begins with; then come the key, and the instructions. */
struct head {
	uint64_t sum; /* of what follows: a file that was cut, or changed, is none */
	uint32_t key_len;
	uint16_t n[NSI_FILTERS];
};

/* FNV-1a, by words: for names, and for what happens by accident. Who could do it on purpose is root. */
static uint64_t sum_of(const void *data, size_t len, uint64_t sum)
{
	const char *at = data;

	for (size_t done = 0; done < len; done += sizeof(uint64_t)) {
		size_t left = len - done;
		uint64_t word = 0;

		memcpy(&word, at + done, left < sizeof(word) ? left : sizeof(word));
		sum = (sum ^ word) * UINT64_C(0x100000001b3);
		sum ^= sum >> 32; /* or the highest bits of two words could cancel out */
	}
	return sum;
}

static uint64_t first_sum(const void *data, size_t len)
{
	return sum_of(data, len, UINT64_C(0xcbf29ce484222325));
}

static size_t code_bytes(const uint16_t n[])
{
	size_t all = 0;

	for (int i = 0; i < NSI_FILTERS; i++)
		all += n[i];
	return all * sizeof(struct sock_filter);
}

static uint64_t sum_file(const struct head *head, const void *key, const void *code)
{
	uint64_t sum = first_sum(&head->key_len, sizeof(head->key_len));

	sum = sum_of(head->n, sizeof(head->n), sum);
	sum = sum_of(key, head->key_len, sum);
	return sum_of(code, code_bytes(head->n), sum);
}

static void directory(char path[PATH_SIZE])
{
	char root[64];

	snprintf(path, PATH_SIZE, "%s/filters", nsi_run_root(root));
}

static void file_of(char path[PATH_SIZE], const void *key, size_t len)
{
	char dir[PATH_SIZE];

	directory(dir);
	snprintf(path, PATH_SIZE, "%.90s/%016llx", dir, (unsigned long long)first_sum(key, len));
}

/* Ours, and nobody else's to change. */
static bool is_own(int fd, off_t *ret_size)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		return false;
	*ret_size = st.st_size;
	return true;
}

bool nsi_filter_recall(const void *key, size_t len, struct nsi_filter *ret)
{
	char path[PATH_SIZE];
	struct head head;
	off_t size = 0;

	file_of(path, key, len);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || !is_own(fd, &size) || read(fd, &head, sizeof(head)) != (ssize_t)sizeof(head) ||
		head.key_len != len || code_bytes(head.n) > sizeof(ret->code) || !head.n[0] ||
		(size_t)size != sizeof(head) + len + code_bytes(head.n))
		return false;
	cleanup_free char *text = malloc((size_t)size - sizeof(head));
	if (!text || read(fd, text, (size_t)size - sizeof(head)) != size - (off_t)sizeof(head) ||
		memcmp(text, key, len) != 0 || sum_file(&head, text, text + len) != head.sum)
		return false;
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->n, head.n, sizeof(ret->n));
	memcpy(ret->code, text + len, code_bytes(head.n));
	return true;
}

/* Who may write specs could have many made: they are not to fill the memory. */
static void make_room(const char *dir)
{
	DIR *all = opendir(dir);
	const struct dirent *entry;
	int n = 0;

	while (all && readdir(all))
		n++;
	if (n > MAX_KEPT) {
		rewinddir(all);
		while ((entry = readdir(all)))
			unlinkat(dirfd(all), entry->d_name, 0);
	}
	if (all)
		closedir(all);
}

void nsi_filter_keep(const void *key, size_t len, const struct nsi_filter *filter)
{
	struct head head = {.key_len = (uint32_t)len};
	char dir[PATH_SIZE], path[PATH_SIZE], fresh[PATH_SIZE + 16];

	directory(dir);
	file_of(path, key, len);
	snprintf(fresh, sizeof(fresh), "%s.%d", path, (int)getpid());
	if (mkdir(dir, 0700) == 0)
		chmod(dir, 0700); /* whatever the umask has taken */
	make_room(dir);
	memcpy(head.n, filter->n, sizeof(head.n));
	head.sum = sum_file(&head, key, filter->code);
	cleanup_fd int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	/* Whoever finds it by its name finds all of it. */
	if (nsi_write_full(fd, &head, sizeof(head)) < 0 || nsi_write_full(fd, key, len) < 0 ||
		nsi_write_full(fd, filter->code, code_bytes(head.n)) < 0 || rename(fresh, path) < 0)
		unlink(fresh);
}
