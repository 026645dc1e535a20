/* libcore without privilege: what parses and decides. */
#include "../../libcore/base/compat.h"
#include "../../libcore/base/str.h"
#include "../../libcore/decide/network.h"
#include "../../libcore/decide/people.h"
#include "../../libcore/decide/plan.h"
#include "../../libcore/parse/accounts.h"
#include "../../libcore/parse/names.h"
#include "../../libcore/parse/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void numbers(void **state)
{
	static const char *const bad[] = {
		"", "-1", "+1", " 1", "1 ", "0x10", "1e3", "18446744073709551616", "11", "4"};
	unsigned long long v = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(nsi_parse_number(bad[i], 5, 10, &v));
		assert_int_equal(v, 77);
	}
	assert_true(nsi_parse_number("7", 5, 10, &v));
	assert_int_equal(v, 7);
	assert_true(nsi_parse_number("18446744073709551615", 0, UINT64_MAX, &v));
	assert_true(v == UINT64_MAX);
}

static void versions(void **state)
{
	static const char *const bad[] = {
		"", "6", "6.", ".1", "x6.1", " 6.1", "-6.1", "6.-1", "65536.1", "6.100000"};
	unsigned version = 0;

	(void)state;
	assert_string_equal(nsi_parse_version("6.1.0-18-amd64", &version), ".0-18-amd64");
	assert_int_equal(version, 6 << 16 | 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(nsi_parse_version(bad[i], &version));
	assert_int_equal(version, 6 << 16 | 1);
}

static void nearest(void **state)
{
	static const char *const names[] = {"hostname", "environment", "network", NULL};

	(void)state;
	assert_string_equal(nsi_nearest("hostnmae", names), "hostname");
	assert_string_equal(nsi_nearest("Network", names), "network");
	assert_null(nsi_nearest("zzz", names));
	assert_null(nsi_nearest("q", names));
}

static void addresses(void **state)
{
	static const char *const bad[] = {"", "1.2.3.4", "1.2.3.4/33", "1.2.3/8", "1.2.3.4/", "/8", "::1/129",
		"1.2.3.4/8x", "a.b.c.d/8"};
	struct nsi_address net, ip;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(nsi_parse_cidr(bad[i], &net));
	assert_true(nsi_parse_cidr("172.17.0.100/16", &net));
	assert_int_equal(net.prefix, 16);
	assert_true(nsi_parse_ip("172.17.42.1", &ip));
	assert_true(nsi_address_in(&net, &ip));
	assert_true(nsi_parse_ip("172.18.0.1", &ip));
	assert_false(nsi_address_in(&net, &ip));
	assert_true(nsi_parse_cidr("fd00::2/64", &net) && nsi_parse_ip("fd00::1", &ip) &&
		    nsi_address_in(&net, &ip));
	assert_true(nsi_valid_ifname("docker0"));
	assert_false(nsi_valid_ifname("docker0;touch /x"));
	assert_false(nsi_valid_ifname("sixteen_letters_"));
	assert_false(nsi_valid_ifname(".."));
}

static void hardware_addresses_and_networks(void **state)
{
	static const char *const bad[] = {"", "02:00:00:00:00", "02:00:00:00:00:0g", "02-00-00-00-00-01",
		"01:00:00:00:00:01", "00:00:00:00:00:00", "02:00:00:00:00:011"};
	char text[NSI_CIDR_SIZE];
	struct nsi_address a;
	uint8_t mac[6];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(nsi_parse_mac(bad[i], mac));
	assert_true(nsi_parse_mac("02:00:5E:aa:0b:FF", mac));
	assert_memory_equal(mac, "\x02\x00\x5e\xaa\x0b\xff", 6);
	assert_true(nsi_parse_cidr("10.77.0.0/24", &a) && nsi_is_network(&a));
	assert_string_equal(nsi_cidr_text(&a, text), "10.77.0.0/24");
	assert_true(nsi_parse_cidr("10.77.0.1/24", &a) && !nsi_is_network(&a));
	assert_true(nsi_parse_cidr("fd00::/64", &a) && nsi_is_network(&a));
	assert_true(nsi_parse_ip("fd00::1", &a) && nsi_is_network(&a));
	assert_string_equal(nsi_cidr_text(&a, text), "fd00::1");
}

static struct nsi_spec *parse(const char *text);

/* What root's own container may have, a login's may not. */
static void network_decisions(void **state)
{
	struct nsi_network_policy policy = {0};
	struct nsi_spec *spec = parse("{\"namespaces\":[\"NEWNS\",\"NEWNET\"],\"network\":{\"ip\":\"auto\","
				      "\"bridge\":\"b\"}}");
	struct nsi_spec *host = parse("{\"namespaces\":[\"NEWNS\"]}");

	(void)state;
	assert_int_equal(nsi_network_decide(host, &policy, true, false, NULL), -EIO);
	assert_int_equal(nsi_network_decide(host, &policy, false, false, NULL), 0);
	policy.host = true;
	assert_int_equal(nsi_network_decide(host, &policy, true, false, NULL), 0);
	assert_true(nsi_network_decide(spec, &policy, true, false, NULL) < 0); /* no pool */
	policy.n_networks = 1;
	strcpy(policy.networks[0].name, "b");
	policy.networks[0].n_pools = policy.networks[0].n_addresses = 1;
	assert_true(nsi_parse_cidr("10.0.0.0/24", &policy.networks[0].pools[0]));
	assert_true(nsi_parse_cidr("10.0.0.1/24", &policy.networks[0].addresses[0]));
	policy.bridges_limited = true;
	assert_true(nsi_network_decide(spec, &policy, true, false, NULL) < 0);
	policy.bridges_limited = false;
	assert_int_equal(nsi_network_decide(spec, &policy, true, false, NULL), 0);
	assert_int_equal(spec->network.interfaces[0].n_gateways, 1);
	assert_int_equal(spec->network.interfaces[0].gateways[0].prefix, 32);
	nsi_spec_free(spec);
	nsi_spec_free(host);
}

static void names(void **state)
{
	(void)state;
	assert_int_equal(nsi_capability_number("CHOWN"), 0);
	assert_int_equal(nsi_capability_number("CAP_SYS_ADMIN"), 21);
	assert_int_equal(nsi_capability_number("sys_admin"), -1);
	assert_int_equal(nsi_capability_number("21"), -1);
	assert_int_equal(nsi_capability_number("NO_SUCH"), -1);
	for (size_t i = 0; nsi_capability_names()[i]; i++)
		assert_int_equal(nsi_capability_number(nsi_capability_names()[i]), i);
	assert_int_equal(__builtin_popcountll(nsi_capability_base()), 14);
	assert_true(nsi_namespace_flag("NEWUSER") == CLONE_NEWUSER);
	assert_true(nsi_namespace_flag("newuser") == 0);
}

static void accounts(void **state)
{
	static const char passwd[] =
		"broken\n:::::\na:x:-1:0:::\nb:x:7:8:Bee:/home/b:/bin/sh\nb:x:9:9:::\nlast:x:3:4::/:";
	struct nsi_account a;
	gid_t gid;

	(void)state;
	assert_true(nsi_passwd_find(passwd, "b", 0, &a));
	assert_int_equal(a.uid, 7);
	assert_string_equal(a.home, "/home/b");
	assert_false(nsi_passwd_find(passwd, "a", 0, &a));
	assert_false(nsi_passwd_find(passwd, "broken", 0, &a));
	assert_true(nsi_passwd_find(passwd, NULL, 3, &a));
	assert_string_equal(a.name, "last");
	assert_true(nsi_group_find("x:x:1:\ny:x:2:a,b\n", "y", 0, &gid));
	assert_int_equal(gid, 2);
	assert_false(nsi_group_find("x:x:1\n", "x", 0, &gid));
}

/* Every id of 0..65535 and of `same` exactly once, and outside nothing but the range and `same`. */
static void check_map(const uint32_t *same, int n)
{
	struct nsi_idmap map[NSI_MAX_IDMAP];
	const uint32_t range = 0x70010000;
	int used = nsi_idmap_make(range, same, n, map);
	uint64_t covered = 0, expected = 65536;

	assert_in_range(used, 1, NSI_MAX_IDMAP);
	for (int i = 0; i < n; i++)
		expected += same[i] >= 65536;
	for (int i = 0; i < used; i++) {
		covered += map[i].count;
		assert_true(map[i].count > 0);
		if (map[i].inside == map[i].outside)
			assert_int_equal(map[i].count, 1);
		else
			assert_int_equal(map[i].outside, range + map[i].inside);
		for (int k = 0; k < i; k++)
			assert_true(map[k].inside + map[k].count <= map[i].inside);
	}
	assert_true(covered == expected);
	for (int i = 0; i < n; i++)
		assert_true(nsi_idmap_same(map, used, same[i]));
	assert_false(nsi_idmap_same(map, used, range + 1));
	assert_false(nsi_idmap_same(map, used, 4000000000U));
}

static void idmaps(void **state)
{
	(void)state;
	check_map(NULL, 0);
	check_map((uint32_t[]){1000}, 1);
	check_map((uint32_t[]){65535}, 1);
	check_map((uint32_t[]){65536}, 1);
	check_map((uint32_t[]){1879000000}, 1);
	check_map((uint32_t[]){5, 1000}, 2);
	check_map((uint32_t[]){4, 5}, 2);
	check_map((uint32_t[]){5, 100000}, 2);
}

static struct nsi_spec *parse(const char *text)
{
	struct nsi_spec *spec = NULL;
	struct nsi_error err = {0};

	if (nsi_spec_parse("t", text, strlen(text), &spec, &err) < 0)
		fail_msg("%s: %s", err.object, err.cause);
	return spec;
}

static void plans(void **state)
{
	struct nsi_spec *spec = parse("{\"namespaces\":[\"NEWNS\",\"NEWPID\"],\"capabilities\":[\"KILL\"]}");
	struct nsi_login *login = calloc(1, sizeof(*login));
	struct nsi_image image = {0};
	struct nsi_plan *plan = NULL;

	(void)state;
	strcpy(login->user.name, "u");
	strcpy(login->user.home, "/home/u");
	login->user.uid = login->user.gid = 1000;
	assert_int_equal(nsi_plan_make(spec, login, &image, 0x70000000, &plan, NULL), 0);
	assert_true(plan->confine.namespaces & CLONE_NEWUSER);
	assert_true(nsi_idmap_same(plan->confine.ids.gids, plan->confine.ids.n_gids, 5));
	assert_true(plan->confine.capabilities == (nsi_capability_base() & ~(UINT64_C(1) << 5)));
	assert_in_range(plan->n_ops, 20, NSI_MAX_OPS - 1);
	nsi_plan_free(plan);
	login->decision.userns = NSI_USERNS_OFF;
	assert_int_equal(nsi_plan_make(spec, login, &image, 0, &plan, NULL), 0);
	assert_false(plan->confine.namespaces & CLONE_NEWUSER);
	nsi_plan_free(plan);
	nsi_spec_free(spec);
	/* A login container without a pid namespace would outlive its pid 1. */
	spec = parse("{\"namespaces\":[\"NEWNS\"]}");
	assert_int_equal(nsi_plan_make(spec, login, &image, 0, &plan, NULL), -EINVAL);
	nsi_spec_free(spec);
	free(login);
}

static void users(void **state)
{
	char passwd[] = "web:x:33:44:::\n", group[] = "staff:x:50:\n";
	struct nsi_image image = {.passwd = passwd, .group = group};
	uid_t uid;
	gid_t gid;

	(void)state;
	assert_int_equal(nsi_resolve_user("web", &image, &uid, &gid, NULL), 0);
	assert_true(uid == 33 && gid == 44);
	assert_int_equal(nsi_resolve_user("33:staff", &image, &uid, &gid, NULL), 0);
	assert_true(uid == 33 && gid == 50);
	assert_int_equal(nsi_resolve_user("7", &image, &uid, &gid, NULL), 0);
	assert_true(uid == 7 && gid == 0);
	assert_true(nsi_resolve_user("-1", &image, &uid, &gid, NULL) < 0);
	assert_true(nsi_resolve_user("4294967295", &image, &uid, &gid, NULL) < 0);
	assert_true(nsi_resolve_user("web:none", &image, &uid, &gid, NULL) < 0);
}

/* Small but nested so that a naive search for duplicates takes for ever. */
/* Whose groups nobody has asked for is in none, and not out of any: there is no answer. */
static void groups_on_demand(void **state)
{
	static const char texts[][80] = {
		"version = 1; unmapped = \"host\"; rules: ({ user = \"root\"; stay = \"host\"; });",
		"version = 1; unmapped = \"host\"; rules: ({ group = \"root\"; stay = \"host\"; });"};
	struct nsi_user alone, whole;
	struct nsi_error err = {0};
	(void)state;

	assert_int_equal(nsi_user_lookup_alone("root", &alone, &err), 0);
	assert_int_equal(nsi_user_lookup("root", &whole, &err), 0);
	assert_int_equal(alone.n_groups, -1);
	assert_int_equal(nsi_user_in_group(&whole, "root", &err), 1);
	assert_int_equal(nsi_user_in_group(&alone, "root", &err), -EINVAL);
	assert_string_equal(err.reason, "group");
	for (int i = 0; i < 2; i++) {
		struct nsi_policy *policy = NULL;

		assert_int_equal(nsi_policy_parse("p", texts[i], strlen(texts[i]), &policy, &err), 0);
		assert_int_equal(nsi_policy_user(policy, "root", &whole, &err), 0);
		assert_int_equal(whole.n_groups >= 0, i == 1);
		nsi_policy_free(policy);
	}
}

static void deep_json(void **state)
{
	struct nsi_spec *spec = NULL;
	struct nsi_error err;
	char text[4096] = "";

	(void)state;
	for (int i = 0; i < 14; i++)
		strcat(text, "{\"a\":");
	strcat(text, "1");
	for (int i = 0; i < 14; i++)
		strcat(text, ",\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1}");
	assert_int_equal(nsi_spec_parse("t", text, strlen(text), &spec, &err), -EINVAL);
	assert_string_equal(err.cause, "unknown key \"a\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(numbers), cmocka_unit_test(versions),
		cmocka_unit_test(nearest), cmocka_unit_test(addresses), cmocka_unit_test(names),
		cmocka_unit_test(accounts), cmocka_unit_test(idmaps), cmocka_unit_test(plans),
		cmocka_unit_test(users), cmocka_unit_test(groups_on_demand), cmocka_unit_test(deep_json),
		cmocka_unit_test(hardware_addresses_and_networks), cmocka_unit_test(network_decisions)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
