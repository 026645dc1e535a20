/* The kernel's texts. */
#include "../../libcore/parse/idmaps.h"
#include "../../libcore/parse/proc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void start_times(void **state)
{
	static const char *const bad[] = {"", ")", "1 (x) S 1 2 3",
		"1 (x) S 1 2 3 0 -1 4 5 6 7 8 9 10 11 12 20 0 1 0 -5 1",
		"1 (x) S 1 2 3 0 -1 4 5 6 7 8 9 10 11 12 20 0 1 0 99999999999999999999 1"};
	uint64_t start = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(nsi_stat_start_time(bad[i], &start));
	assert_int_equal(start, 7);
	/* A process's name is its own choice. */
	assert_true(nsi_stat_start_time(
		"12 (a) S 1 (b c) R 1 2 3 0 -1 4 5 6 7 8 9 10 11 12 20 0 1 0 4711 24 25\n", &start));
	assert_int_equal(start, 4711);
}

static void pids(void **state)
{
	const char *list = "1\n\nx\n17\n4294967296\n23\n0\n42";
	static const int wanted[] = {17, 23, 42};
	pid_t pid;

	(void)state;
	assert_true(nsi_fdinfo_pid("pos:\t0\nflags:\t02000002\nPid:\t4711\nNSpid:\t4711\n", &pid));
	assert_int_equal(pid, 4711);
	assert_false(nsi_fdinfo_pid("pos:\t0\nflags:\t02000002\nPid:\t-1\nNSpid:\t-1\n", &pid));
	assert_false(nsi_fdinfo_pid("pos:\t0\nPid:\t0\nNSpid:\t0\n", &pid));
	assert_false(nsi_fdinfo_pid("pos:\t0\nNSpid:\t3\n", &pid));
	for (size_t i = 0; i < 3; i++) {
		assert_true(nsi_next_pid(&list, &pid));
		assert_int_equal(pid, wanted[i]);
	}
	assert_false(nsi_next_pid(&list, &pid));
}

static void cgroups(void **state)
{
	char group[16];

	(void)state;
	assert_true(nsi_cgroup_line("4:memory:/a\n0::/b/c\n", group, sizeof(group)));
	assert_string_equal(group, "/b/c");
	assert_true(nsi_cgroup_line("0::/\n", group, sizeof(group)));
	assert_false(nsi_cgroup_line("4:memory:/0::/x\n", group, sizeof(group)));
	assert_false(nsi_cgroup_line("0::/a-group-of-16-by", group, sizeof(group)));
	assert_true(nsi_has_word("cpuset cpu io memory\n", "cpu"));
	assert_false(nsi_has_word("cpuset io memory\n", "cpu"));
	assert_true(nsi_has_word("cpuset io memory\n", "memory"));
}

static void counters(void **state)
{
	static const char events[] = "max_imposed 4\nmax 12\noom_kill 3\n";
	unsigned long long n = 0;
	unsigned share = 0;

	(void)state;
	assert_true(nsi_counter(events, "max", &n));
	assert_int_equal(n, 12);
	assert_true(nsi_counter(events, "oom_kill", &n));
	assert_int_equal(n, 3);
	assert_false(nsi_counter(events, "oom", &n));
	assert_true(nsi_counter("4096\n", "", &n));
	assert_int_equal(n, 4096);
	assert_false(nsi_counter("max\n", "", &n));
	assert_int_equal(
		nsi_io_sum("8:0 rbytes=1 wbytes=20\n8:16 rbytes=5 wbytes=x dbytes=9\n", "rbytes"), 6);
	assert_int_equal(nsi_io_sum("8:0 rbytes=1 wbytes=20\n", "bytes"), 0);
	assert_true(nsi_pressure("some avg10=12.05 avg60=0.00\nfull avg10=1.00\n", &share));
	assert_int_equal(share, 1205);
	assert_false(nsi_pressure("full avg10=1.00\n", &share));
	assert_false(nsi_pressure("some avg10=", &share));
}

static void processes(void **state)
{
	static const char text[] = "12 (a) R 1 (b)) S 1 12 12 34816 0 4194304";
	char name[16], letter;
	unsigned long long n;

	(void)state;
	assert_true(nsi_stat_name(text, name, sizeof(name), &letter));
	assert_string_equal(name, "a) R 1 (b)");
	assert_int_equal(letter, 'S');
	assert_true(nsi_stat_name(text, name, 4, &letter));
	assert_string_equal(name, "a) ");
	assert_true(nsi_stat_number(text, 7, &n));
	assert_int_equal(n, 34816);
	assert_false(nsi_stat_number(text, 24, &n));
	assert_false(nsi_stat_name("12 )x( S", name, sizeof(name), &letter));
	assert_false(nsi_stat_name("12 (x)", name, sizeof(name), &letter));
	assert_true(nsi_status_number("Name:\ta\nUid:\t1\t2\t3\t4\nNSpid:\t12\t1\n", "Uid", 1, &n));
	assert_int_equal(n, 2);
	assert_true(nsi_status_number("NSpid:\t12\t1\nNSsid:\t5\n", "NSpid", 1, &n));
	assert_int_equal(n, 1);
	/* The next line's number is not this one's. */
	assert_false(nsi_status_number("NSpid:\t12\nNSsid:\t5\n", "NSpid", 1, &n));
	assert_false(nsi_status_number("NSpid:\t12\nNSsid:\t5\n", "Uid", 0, &n));
}

static void idmaps(void **state)
{
	const char *rest =
		"         0 1879048192       1000\n      1000       1000          1\nnonsense\n 1 2\n3 4 5";
	struct nsi_idmap map;

	(void)state;
	assert_true(nsi_next_idmap(&rest, &map));
	assert_int_equal(map.outside, 1879048192);
	assert_true(nsi_next_idmap(&rest, &map));
	assert_true(map.inside == 1000 && map.outside == 1000 && map.count == 1);
	assert_true(nsi_next_idmap(&rest, &map));
	assert_true(map.inside == 3 && map.outside == 4 && map.count == 5);
	assert_false(nsi_next_idmap(&rest, &map));
}

static void routes(void **state)
{
	char name[16] = "";

	(void)state;
	assert_false(nsi_is_default_route(
		"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT \n",
		name));
	assert_true(
		nsi_is_default_route("eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0 \n", name));
	assert_string_equal(name, "eth0");
	/* Half of all addresses is not all of them. */
	assert_false(
		nsi_is_default_route("tun0\t00000000\t01020A0A\t0003\t0\t0\t0\t00000080\t0\t0\t0 \n", name));
	assert_false(
		nsi_is_default_route("eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0 \n", name));
	assert_false(
		nsi_is_default_route("a/b\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0 \n", name));
	assert_false(nsi_is_default_route("", name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(start_times), cmocka_unit_test(pids),
		cmocka_unit_test(cgroups), cmocka_unit_test(counters), cmocka_unit_test(routes),
		cmocka_unit_test(processes), cmocka_unit_test(idmaps)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
