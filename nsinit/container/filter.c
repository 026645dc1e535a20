#include "filter.h"

#include "../../libcore/act/seccomp.h"
#include "../../libcore/base/cleanup.h"
#include "../../libcore/base/io.h"
#include "../../libcore/base/str.h"
#include "../../libcore/whole/filters.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

enum { COMPILE_SECONDS = 3, BUILD_ID_SIZE = 20, MAX_OBJECTS = 32 };

/* What a filter follows from, apart from the text of a profile. Compared as bytes. */
struct made_of {
	uint64_t capabilities, has_profile;
	unsigned char objects[MAX_OBJECTS][BUILD_ID_SIZE];
	char library[16], kernel[68];
};

struct objects {
	unsigned char (*ids)[BUILD_ID_SIZE];
	size_t n;
};

/* On the host, and root's like the policy: what lies in a root directory could be changed from inside. */
static int read_profile(const char *path, char **ret_text, size_t *ret_len, struct nsi_error *err)
{
	cleanup_fd int fd = -1;
	int r = nsi_open_trusted(path, O_RDONLY, &fd, NULL, err);

	if (r == 0)
		r = nsi_read_fd(fd, path, NSI_PROFILE_MAX_BYTES, ret_text, ret_len, err);
	return r < 0 ? nsi_error_reason(err, "spec") : 0;
}

/*
 * libseccomp (2.5.4) that memory fails in the midst of a filter does not always return: it looks for a part
 * that it does not have, without end. A supervisor would hold the container's lock for ever. Counted in
 * processor time, which no busy machine uses up for it, and ended by a signal that cannot be held back.
 */
static int limit_time(timer_t *ret, struct nsi_error *err)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
	const struct itimerspec after = {.it_value.tv_sec = COMPILE_SECONDS};

	if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, ret) < 0)
		return nsi_fail(err, errno, "making", "a timer", NULL);
	timer_settime(*ret, 0, &after, NULL);
	return 0;
}

/* `text` NULL: the default one. */
static int compile(
	const char *path, const char *text, size_t len, struct nsi_confinement *c, struct nsi_error *err)
{
	struct nsi_profile *profile = NULL;

	if (!text)
		return nsi_seccomp_compile(c->capabilities, &c->filter, err);
	int r = nsi_profile_parse(path, text, len, &profile, err);
	if (r == 0)
		r = nsi_seccomp_compile_profile(profile, c->capabilities, &c->filter, err);
	nsi_profile_free(profile);
	return r < 0 ? nsi_error_reason(err, "spec") : 0;
}

static int compile_in_time(
	const char *path, const char *text, size_t len, struct nsi_confinement *c, struct nsi_error *err)
{
	timer_t timer;
	int r = limit_time(&timer, err);

	if (r < 0)
		return r;
	r = compile(path, text, len, c, err);
	timer_delete(timer);
	return r;
}

/* The linker's number for exactly this object, ld(1) --build-id. */
static bool find_build_id(const struct dl_phdr_info *info, unsigned char ret[BUILD_ID_SIZE])
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		const char *at = (const char *)(info->dlpi_addr + segment->p_vaddr);
		const char *end = at + segment->p_memsz;
		ElfW(Nhdr) note;

		while (segment->p_type == PT_NOTE && segment->p_align == 4 && at + sizeof(note) < end) {
			memcpy(&note, at, sizeof(note));
			if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
				note.n_descsz >= BUILD_ID_SIZE) {
				memcpy(ret, at + sizeof(note) + 4, BUILD_ID_SIZE);
				return true;
			}
			at += sizeof(note) + ((note.n_namesz + 3) & ~3U) + ((note.n_descsz + 3) & ~3U);
		}
	}
	return false;
}

/* The program and its libraries: one that is repaired keeps its version. The kernel's object is told by its
 * release. */
static int add_object(struct dl_phdr_info *info, size_t size, void *data)
{
	struct objects *all = data;

	(void)size;
	if (strncmp(info->dlpi_name, "linux-", strlen("linux-")) == 0)
		return 0;
	return all->n < MAX_OBJECTS && find_build_id(info, all->ids[all->n++]) ? 0 : -1;
}

/* False: it cannot be told what made it, and so nothing is kept. */
static bool describe(uint64_t capabilities, bool has_profile, struct made_of *ret)
{
	struct objects all = {.ids = ret->objects};
	struct utsname kernel;

	memset(ret, 0, sizeof(*ret));
	ret->capabilities = capabilities;
	ret->has_profile = has_profile;
	nsi_seccomp_version(ret->library, sizeof(ret->library));
	return uname(&kernel) == 0 && nsi_copy(ret->kernel, sizeof(ret->kernel), kernel.release) &&
	       dl_iterate_phdr(add_object, &all) == 0;
}

static int recall_or_compile(
	const char *path, const char *text, size_t len, struct nsi_confinement *c, struct nsi_error *err)
{
	cleanup_free char *key = malloc(sizeof(struct made_of) + len);
	size_t key_len = sizeof(struct made_of) + len;
	struct made_of made_of;
	bool known = key && describe(c->capabilities, text != NULL, &made_of);

	if (known) {
		memcpy(key, &made_of, sizeof(made_of));
		memcpy(key + sizeof(made_of), text ? text : "", len);
		if (nsi_filter_recall(key, key_len, &c->filter))
			return 0;
	}
	int r = compile_in_time(path, text, len, c, err);
	if (r == 0 && known)
		nsi_filter_keep(key, key_len, &c->filter);
	return r;
}

static int make(const struct nsi_spec *spec, struct nsi_confinement *c,
	int (*by)(const char *, const char *, size_t, struct nsi_confinement *, struct nsi_error *),
	struct nsi_error *err)
{
	const char *path = spec->process.seccomp_profile;
	cleanup_free char *text = NULL;
	size_t len = 0;
	int r = path[0] ? read_profile(path, &text, &len, err) : 0;

	return r < 0 ? r : by(path, text, len, c, err);
}

int filter_make(const struct nsi_spec *spec, struct nsi_plan *plan, struct nsi_error *err)
{
	return plan->confine.seccomp ? make(spec, &plan->confine, recall_or_compile, err) : 0;
}

int filter_try(const struct nsi_spec *spec, struct nsi_plan *plan, struct nsi_error *err)
{
	return plan->confine.seccomp ? make(spec, &plan->confine, compile_in_time, err) : 0;
}
