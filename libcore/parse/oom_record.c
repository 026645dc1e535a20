#include "oom_record.h"

#include "../base/str.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

/* "6,1234,5678,-;text": level and facility come first; facility 0 is the kernel's, and nobody else's. */
static const char *text_of_kernel(const char *record)
{
	if (record[0] < '0' || record[0] > '7' || record[1] != ',')
		return NULL;
	const char *text = strchr(record, ';');
	return text ? text + 1 : NULL;
}

/* The last one: the program's name before it is its user's choice. */
static const char *last(const char *text, const char *what)
{
	const char *found = NULL;

	for (const char *at = text; (at = strstr(at, what)); at++)
		found = at;
	return found;
}

static void copy_name(char name[16], const char *from, size_t len)
{
	size_t n = len < 15 ? len : 15;

	for (size_t i = 0; i < n; i++)
		name[i] = isalnum((unsigned char)from[i]) || strchr("._-+:@", from[i]) ? from[i] : '?';
	name[n] = '\0';
}

bool nsi_parse_oom_record(const char *record, struct nsi_oom_victim *ret)
{
	static const char group_key[] = ",task_memcg=", name_key[] = ",task=", pid_key[] = ",pid=";
	const char *text = text_of_kernel(record);

	if (!text || strncmp(text, "oom-kill:", 9) != 0)
		return false;
	const char *group = strstr(text, group_key);
	const char *name = group ? strstr(group, name_key) : NULL;
	const char *pid = name ? last(name, pid_key) : NULL;
	char number[16];
	unsigned long long value;
	if (!pid)
		return false;
	group += strlen(group_key);
	size_t len = (size_t)(name - group), digits = strspn(pid + strlen(pid_key), "0123456789");
	if (len >= sizeof(ret->group) || digits >= sizeof(number))
		return false;
	memcpy(number, pid + strlen(pid_key), digits);
	number[digits] = '\0';
	if (!nsi_parse_number(number, 1, INT32_MAX, &value))
		return false;
	memcpy(ret->group, group, len);
	ret->group[len] = '\0';
	copy_name(ret->name, name + strlen(name_key), (size_t)(pid - name) - strlen(name_key));
	ret->pid = (pid_t)value;
	return true;
}
