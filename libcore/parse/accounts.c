#include "accounts.h"

#include <stdio.h>

#include "../base/str.h"

#include <string.h>

enum { MAX_LINE = 2048, MAX_FIELDS = 7 };

/* Split one line at its colons, in place. The number of fields, or 0 when there are too many. */
static int split(char *line, char *fields[MAX_FIELDS])
{
	for (int n = 0; n < MAX_FIELDS; n++) {
		fields[n] = line;
		line = strchr(line, ':');
		if (!line)
			return n + 1;
		*line++ = '\0';
	}
	return 0;
}

/* Copy the next line without its end to `line`; false at the end of the text. Too long lines come out empty.
 */
static bool next_line(const char **text, char line[MAX_LINE])
{
	size_t len = strcspn(*text, "\n");

	if (!**text)
		return false;
	line[0] = '\0';
	if (len < MAX_LINE) {
		memcpy(line, *text, len);
		line[len] = '\0';
	}
	*text += len + ((*text)[len] == '\n');
	return true;
}

static bool id_number(const char *text, unsigned *ret)
{
	unsigned long long value;

	if (!nsi_parse_number(text, 0, 4294967294ULL, &value))
		return false;
	*ret = (unsigned)value;
	return true;
}

bool nsi_passwd_find(const char *text, const char *name, uid_t uid, struct nsi_account *ret)
{
	char line[MAX_LINE], *f[MAX_FIELDS];

	while (next_line(&text, line)) {
		struct nsi_account a;

		if (split(line, f) != 7 || !id_number(f[2], &a.uid) || !id_number(f[3], &a.gid))
			continue;
		if (name ? strcmp(f[0], name) != 0 : a.uid != uid)
			continue;
		if (!nsi_copy(a.name, sizeof(a.name), f[0]) || !nsi_copy(a.home, sizeof(a.home), f[5]) ||
			!nsi_copy(a.shell, sizeof(a.shell), f[6]))
			continue;
		*ret = a;
		return true;
	}
	return false;
}

bool nsi_group_find(const char *text, const char *name, gid_t gid, gid_t *ret_gid)
{
	char line[MAX_LINE], *f[MAX_FIELDS];

	while (next_line(&text, line)) {
		gid_t found;

		if (split(line, f) != 4 || !id_number(f[2], &found))
			continue;
		if (name ? strcmp(f[0], name) != 0 : found != gid)
			continue;
		*ret_gid = found;
		return true;
	}
	return false;
}

bool nsi_subid_find(const char *text, const char *name, uid_t uid, uint32_t *ret_first, uint32_t *ret_count)
{
	char number[16], line[512];

	snprintf(number, sizeof(number), "%u", (unsigned)uid);
	for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		unsigned long long first, count;
		char *save = NULL;

		snprintf(line, sizeof(line), "%.*s", (int)strcspn(p, "\n"), p);
		const char *who = strtok_r(line, ":", &save), *from = strtok_r(NULL, ":", &save),
			   *n = strtok_r(NULL, ":", &save);
		if (!who || !from || !n || (strcmp(who, number) != 0 && (!name || strcmp(who, name) != 0)))
			continue;
		if (!nsi_parse_number(from, 1, 4294967294ULL, &first) ||
			!nsi_parse_number(n, 1, 4294967294ULL - first, &count))
			continue;
		*ret_first = (uint32_t)first;
		*ret_count = (uint32_t)count;
		return true;
	}
	return false;
}

static bool lists(char *members, const char *name)
{
	char *save = NULL;

	for (char *m = strtok_r(members, ",", &save); m; m = strtok_r(NULL, ",", &save))
		if (strcmp(m, name) == 0)
			return true;
	return false;
}

int nsi_groups_of(const char *text, const char *name, gid_t *gids, int max)
{
	char line[MAX_LINE], *f[MAX_FIELDS];
	int n = 0;

	while (next_line(&text, line)) {
		gid_t gid;

		if (split(line, f) != 4 || !id_number(f[2], &gid) || !lists(f[3], name))
			continue;
		if (n < max)
			gids[n] = gid;
		n++;
	}
	return n;
}
