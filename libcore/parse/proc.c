#include "proc.h"

#include "../base/str.h"
#include "cidr.h"
#include "idmaps.h"

#include <limits.h>
#include <string.h>

enum { MAX_DIGITS = 20 };

/* The number at `text` up to the first byte that is none of its digits. */
static bool leading_number(const char *text, unsigned long long max, unsigned long long *ret)
{
	char digits[MAX_DIGITS + 1];
	size_t len = strspn(text, "0123456789");

	if (len > MAX_DIGITS)
		return false;
	memcpy(digits, text, len);
	digits[len] = '\0';
	return nsi_parse_number(digits, 0, max, ret);
}

static const char *next_line(const char *line)
{
	const char *end = strchr(line, '\n');

	return end && end[1] ? end + 1 : NULL;
}

bool nsi_stat_number(const char *text, int field, unsigned long long *ret)
{
	/* The name, field 2, may contain anything; the last ')' ends it. */
	const char *at = strrchr(text, ')');

	for (int i = 2; at && i < field; i++)
		at = strchr(at + 1, ' ');
	return at && leading_number(at + 1, UINT64_MAX, ret);
}

bool nsi_stat_start_time(const char *text, uint64_t *ret_ticks)
{
	unsigned long long ticks;

	if (!nsi_stat_number(text, 22, &ticks))
		return false;
	*ret_ticks = ticks;
	return true;
}

bool nsi_stat_name(const char *text, char *name, size_t size, char *ret_state)
{
	const char *begin = strchr(text, '('), *end = strrchr(text, ')');

	if (!begin || !end || end < begin || end[1] != ' ' || !end[2])
		return false;
	size_t len = (size_t)(end - begin - 1);
	if (len >= size)
		len = size - 1;
	memcpy(name, begin + 1, len);
	name[len] = '\0';
	*ret_state = end[2];
	return true;
}

bool nsi_status_number(const char *text, const char *name, int index, unsigned long long *ret)
{
	size_t len = strlen(name);

	for (const char *line = text; line; line = next_line(line)) {
		if (strncmp(line, name, len) != 0 || line[len] != ':')
			continue;
		const char *at = line + len + 1;
		for (int i = 0; i < index; i++) {
			at += strspn(at, "\t ");
			at += strcspn(at, "\t \n");
		}
		at += strspn(at, "\t ");
		return leading_number(at, ULLONG_MAX, ret);
	}
	return false;
}

bool nsi_next_idmap(const char **text, struct nsi_idmap *ret)
{
	while (**text) {
		unsigned long long n[3];
		const char *at = *text;
		int got = 0;

		*text += strcspn(at, "\n");
		*text += **text == '\n';
		for (; got < 3; got++) {
			at += strspn(at, " ");
			if (!leading_number(at, UINT32_MAX, &n[got]))
				break;
			at += strcspn(at, " \n");
		}
		if (got < 3)
			continue;
		*ret = (struct nsi_idmap){(uint32_t)n[0], (uint32_t)n[1], (uint32_t)n[2]};
		return true;
	}
	return false;
}

bool nsi_fdinfo_pid(const char *text, pid_t *ret_pid)
{
	static const char name[] = "Pid:\t";
	unsigned long long pid;

	for (const char *line = text; line; line = next_line(line)) {
		if (strncmp(line, name, strlen(name)) != 0)
			continue;
		/* 0 and -1: of another pid namespace, or reaped. */
		if (!leading_number(line + strlen(name), INT_MAX, &pid) || pid == 0)
			return false;
		*ret_pid = (pid_t)pid;
		return true;
	}
	return false;
}

bool nsi_cgroup_line(const char *text, char *group, size_t size)
{
	for (const char *line = text; line; line = next_line(line)) {
		if (strncmp(line, "0::", 3) != 0)
			continue;
		size_t len = strcspn(line + 3, "\n");
		if (len >= size)
			return false;
		memcpy(group, line + 3, len);
		group[len] = '\0';
		return group[0] == '/';
	}
	return false;
}

bool nsi_is_default_route(const char *line, char ret_interface[16])
{
	static const char none[] = "00000000";
	enum { INTERFACE, DESTINATION, MASK = 7 };
	char name[16] = "";
	int field = 0;

	for (const char *at = line; field <= MASK; field++) {
		at += strspn(at, "\t ");
		size_t len = strcspn(at, "\t \n");

		if (field == INTERFACE && len < sizeof(name))
			memcpy(name, at, len);
		if ((field == DESTINATION || field == MASK) &&
			(len != strlen(none) || strncmp(at, none, len) != 0))
			return false;
		at += len;
	}
	/* It goes into a path. */
	if (!nsi_valid_ifname(name))
		return false;
	memcpy(ret_interface, name, sizeof(name));
	return true;
}

bool nsi_counter(const char *text, const char *name, unsigned long long *ret)
{
	size_t len = strlen(name);

	for (const char *line = text; line; line = next_line(line)) {
		const char *value = len ? line + len + 1 : line;

		if (len && (strncmp(line, name, len) != 0 || line[len] != ' '))
			continue;
		return leading_number(value, ULLONG_MAX, ret);
	}
	return false;
}

unsigned long long nsi_io_sum(const char *text, const char *name)
{
	unsigned long long sum = 0, n;
	size_t len = strlen(name);

	for (const char *word = text; *word; word += strspn(word, " \n")) {
		if (strncmp(word, name, len) == 0 && word[len] == '=' &&
			leading_number(word + len + 1, ULLONG_MAX, &n))
			sum += n;
		word += strcspn(word, " \n");
	}
	return sum;
}

bool nsi_pressure(const char *text, unsigned *ret_share)
{
	static const char name[] = "some avg10=";
	unsigned long long whole, hundredths;
	const char *value = text + strlen(name), *point;

	if (strncmp(text, name, strlen(name)) != 0 || !leading_number(value, 100, &whole))
		return false;
	point = value + strspn(value, "0123456789");
	if (*point != '.' || strspn(point + 1, "0123456789") != 2 ||
		!leading_number(point + 1, 99, &hundredths))
		return false;
	*ret_share = (unsigned)(whole * 100 + hundredths);
	return true;
}

bool nsi_has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = text; len && (at = strstr(at, word)); at += len)
		if ((at == text || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\n' || !at[len]))
			return true;
	return false;
}

bool nsi_next_pid(const char **text, pid_t *ret_pid)
{
	while (**text) {
		const char *line = *text;
		unsigned long long pid;

		*text += strcspn(line, "\n");
		*text += **text == '\n';
		if (leading_number(line, INT_MAX, &pid) && pid > 1) {
			*ret_pid = (pid_t)pid;
			return true;
		}
	}
	return false;
}
