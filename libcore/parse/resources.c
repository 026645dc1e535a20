#include "resources.h"

#include "../base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *controller, *file;
} limits[NSI_LIMITS] = {
	[NSI_MEMORY_MAX] = {"memory", "memory.max"},
	[NSI_MEMORY_HIGH] = {"memory", "memory.high"},
	[NSI_MEMORY_SWAP] = {"memory", "memory.swap.max"},
	[NSI_CPU_WEIGHT] = {"cpu", "cpu.weight"},
	[NSI_CPU_MAX] = {"cpu", "cpu.max"},
	[NSI_PIDS_MAX] = {"pids", "pids.max"},
	[NSI_IO_WEIGHT] = {"io", "io.weight"},
};

const char *nsi_limit_controller(enum nsi_limit limit)
{
	return limits[limit].controller;
}

const char *nsi_limit_file(enum nsi_limit limit)
{
	return limits[limit].file;
}

bool nsi_limit_set(const struct nsi_resources *res, enum nsi_limit limit)
{
	return res->set & (1U << limit);
}

void nsi_limit_put(struct nsi_resources *res, enum nsi_limit limit, uint64_t value)
{
	res->set |= 1U << limit;
	res->value[limit] = value;
}

enum { MAX_PERCENT = 1000000 };

bool nsi_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "KMGT";
	unsigned long long n;
	char number[24];
	size_t len = strlen(text);
	const char *unit = len ? strchr(units, text[len - 1]) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;

	len -= unit != NULL;
	if (len == 0 || len >= sizeof(number))
		return false;
	memcpy(number, text, len);
	number[len] = '\0';
	if (!nsi_parse_number(number, 0, (unsigned long long)INT64_MAX >> shift, &n))
		return false;
	*ret_bytes = (uint64_t)n << shift;
	return true;
}

/* The kernel takes no quota below 1 ms, and periods from 1 ms to 1 s. */
bool nsi_parse_cpu(const char *text, struct nsi_resources *ret)
{
	unsigned long long quota, period = NSI_CPU_PERIOD;
	const char *slash = strchr(text, '/');
	size_t len = strlen(text);
	char number[24];

	if (!slash && (len < 2 || text[len - 1] != '%'))
		return false;
	size_t digits = slash ? (size_t)(slash - text) : len - 1;
	if (digits >= sizeof(number))
		return false;
	memcpy(number, text, digits);
	number[digits] = '\0';
	if (slash && (!nsi_parse_number(slash + 1, 1000, 1000000, &period) ||
			     !nsi_parse_number(number, 1000, 1000000000000ULL, &quota)))
		return false;
	if (!slash) {
		if (!nsi_parse_number(number, 1, MAX_PERCENT, &quota))
			return false;
		quota *= NSI_CPU_PERIOD / 100;
	}
	nsi_limit_put(ret, NSI_CPU_MAX, quota);
	ret->cpu_period = (uint32_t)period;
	return true;
}

bool nsi_limit_exceeds(const struct nsi_resources *a, const struct nsi_resources *b, enum nsi_limit limit)
{
	if (limit == NSI_CPU_MAX)
		return a->value[limit] * b->cpu_period > b->value[limit] * a->cpu_period;
	return a->value[limit] > b->value[limit];
}

void nsi_limit_value(const struct nsi_resources *res, enum nsi_limit limit, char *buf, size_t size)
{
	uint64_t value = res->value[limit];

	if (limit == NSI_CPU_MAX)
		snprintf(buf, size, "%" PRIu64 " %u", value, (unsigned)res->cpu_period);
	else if (limit == NSI_IO_WEIGHT)
		snprintf(buf, size, "default %" PRIu64, value);
	else
		snprintf(buf, size, "%" PRIu64, value);
}

const char *nsi_size_text(uint64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = {"", "K", "M", "G", "T"};
	int unit = 0;

	while (unit < 4 && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		unit++;
	}
	snprintf(buf, size, "%" PRIu64 "%s", bytes, units[unit]);
	return buf;
}

const char *nsi_limit_text(const struct nsi_resources *res, enum nsi_limit limit, char *buf, size_t size)
{
	uint64_t value = res->value[limit];

	if (limit == NSI_MEMORY_MAX || limit == NSI_MEMORY_HIGH || limit == NSI_MEMORY_SWAP)
		nsi_size_text(value, buf, size);
	else if (limit == NSI_CPU_MAX && res->cpu_period && value * 100 % res->cpu_period == 0 &&
		 value * 100 / res->cpu_period <= MAX_PERCENT)
		snprintf(buf, size, "%" PRIu64 "%%", value * 100 / res->cpu_period);
	else if (limit == NSI_CPU_MAX)
		snprintf(buf, size, "%" PRIu64 "/%u", value, (unsigned)res->cpu_period);
	else
		snprintf(buf, size, "%" PRIu64, value);
	return buf;
}

const char *nsi_resources_text(const struct nsi_resources *res, char *buf, size_t size)
{
	size_t used = 0;
	char value[48];

	buf[0] = '\0';
	for (int i = 0; i < NSI_LIMITS; i++) {
		if (!nsi_limit_set(res, (enum nsi_limit)i) || used >= size)
			continue;
		used += (size_t)snprintf(buf + used, size - used, "%s%s=%s", used ? " " : "", limits[i].file,
			nsi_limit_text(res, (enum nsi_limit)i, value, sizeof(value)));
	}
	return buf;
}
