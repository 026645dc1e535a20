/* The single words of both files: numbers, addresses, sizes, names, paths. */
#include "fuzz.h"

#include "../../libcore/base/str.h"
#include "../../libcore/parse/cidr.h"
#include "../../libcore/parse/mounts.h"
#include "../../libcore/parse/names.h"
#include "../../libcore/parse/process.h"
#include "../../libcore/parse/resources.h"

#include <stdio.h>

static void numbers(const char *text)
{
	unsigned long long value;
	unsigned version;
	char again[32];

	if (nsi_parse_number(text, 3, 4294967294ULL, &value))
		fuzz_check(value >= 3 && value <= 4294967294ULL);
	if (nsi_parse_number(text, 0, UINT64_MAX, &value)) {
		snprintf(again, sizeof(again), "%llu", value);
		size_t zeros = strspn(text, "0");
		fuzz_check(strcmp(text + zeros, value ? again : "") == 0);
	}
	const char *rest = nsi_parse_version(text, &version);
	if (rest)
		fuzz_check(rest > text && rest <= text + strlen(text));
}

static void addresses(const char *text)
{
	char printed[NSI_CIDR_SIZE], name[16];
	struct nsi_address a, b;
	uint8_t mac[6];

	if (nsi_parse_ip(text, &a)) {
		nsi_cidr_text(&a, printed);
		fuzz_check(nsi_parse_ip(printed, &b) && memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0);
	}
	if (nsi_parse_cidr(text, &a)) {
		fuzz_check(a.prefix <= nsi_address_size(&a) * 8 && nsi_address_in(&a, &a));
		nsi_cidr_text(&a, printed);
		fuzz_check((nsi_parse_cidr(printed, &b) || nsi_parse_ip(printed, &b)) &&
			   b.prefix == a.prefix && memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0);
		nsi_is_network(&a);
	}
	if (nsi_parse_mac(text, mac)) {
		char again[18];

		snprintf(again, sizeof(again), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
			mac[3], mac[4], mac[5]);
		fuzz_check(strcasecmp(again, text) == 0);
	}
	if (nsi_valid_ifname(text))
		fuzz_check(nsi_copy(name, sizeof(name), text) && !strchr(text, '/'));
}

static void sizes(const char *text)
{
	struct nsi_resources res = {0}, again = {0};
	char buf[64];
	uint64_t bytes, same;

	if (nsi_parse_size(text, &bytes)) {
		nsi_limit_put(&res, NSI_MEMORY_MAX, bytes);
		nsi_limit_text(&res, NSI_MEMORY_MAX, buf, sizeof(buf));
		fuzz_check(nsi_parse_size(buf, &same) && same == bytes);
	}
	if (nsi_parse_cpu(text, &res)) {
		fuzz_check(res.cpu_period > 0);
		nsi_limit_text(&res, NSI_CPU_MAX, buf, sizeof(buf));
		fuzz_check(nsi_parse_cpu(buf, &again));
		nsi_limit_exceeds(&res, &again, NSI_CPU_MAX);
		nsi_limit_value(&res, NSI_CPU_MAX, buf, sizeof(buf));
	}
	nsi_valid_size(text);
}

static void names(const char *text)
{
	static const char *const few[] = {"hostname", "environment", NULL};
	char path[128], again[128];

	nsi_namespace_flag(text);
	fuzz_check(nsi_capability_number(text) < 64 && nsi_rlimit_number(text) < 64);
	nsi_nearest(text, few);
	nsi_sysctl_path(text, path, sizeof(path));
	if (nsi_normal_path(text, path, sizeof(path))) {
		fuzz_check(path[0] == '/' && !strstr(path, "//") && !strstr(path, "/../"));
		fuzz_check(nsi_normal_path(path, again, sizeof(again)) && strcmp(path, again) == 0);
		fuzz_check(nsi_path_below(path, path) && nsi_path_below(path, "/"));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);

	numbers(text);
	addresses(text);
	sizes(text);
	names(text);
	free(text);
	return 0;
}
