/* Limits without privilege: those of the policy, and what the kernel says of whom it kills. */
#include "../../libcore/decide/plan.h"
#include "../../libcore/parse/oom_record.h"
#include "../../libcore/parse/policy.h"
#include "../../libcore/parse/resources.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "version = 1; unmapped = \"host\";"

static const struct nsi_user somebody = {.name = "u", .uid = 1000, .gid = 1000, .home = "/home/u"};

static struct nsi_decision *decide(const char *text)
{
	struct nsi_decision *d = calloc(1, sizeof(*d));
	struct nsi_policy *policy = NULL;
	struct nsi_error err = {0};

	if (nsi_policy_parse("p", text, strlen(text), &policy, &err) < 0 ||
		nsi_policy_decide(policy, &somebody, d, &err) < 0)
		fail_msg("%s: %s", err.object, err.cause);
	nsi_policy_free(policy);
	return d;
}

static void check_text(const struct nsi_resources *res, const char *expected)
{
	char text[256];

	assert_string_equal(nsi_resources_text(res, text, sizeof(text)), expected);
}

static void session_limits(void **state)
{
	struct nsi_decision *d =
		decide(HEAD "rules: ( { user = \"u\"; rootfs = \"/r\"; session_limits: {"
			    "memory = \"256M\"; swap = 0; pids = 50; cpu = \"50%\"; }; } );");

	(void)state;
	check_text(&d->session_limits, "memory.max=256M memory.swap.max=0 cpu.max=50% pids.max=50");
	check_text(&d->limits, "");
	free(d);
	/* Setting for setting in place of the defaults, as the ceilings are, and apart from them. */
	d = decide(HEAD "defaults: { session_limits: { memory = 1048576; pids = 9; };"
			"limits: { memory = \"4G\"; }; };"
			"rules: ( { user = \"u\"; rootfs = \"/r\"; session_limits: { pids = 50; }; } );");
	check_text(&d->session_limits, "memory.max=1M pids.max=50");
	check_text(&d->limits, "memory.max=4G");
	free(d);
	d = decide(HEAD "rules: ( { user = \"u\"; rootfs = \"/r\"; session_limits: { }; } );");
	check_text(&d->session_limits, "");
	free(d);
}

static void session_limits_in_a_plan(void **state)
{
	static const char json[] =
		"{\"namespaces\":[\"NEWNS\",\"NEWPID\"],\"resources\":{\"pids\":{\"max\":7}}}";
	struct nsi_login *login = calloc(1, sizeof(*login));
	struct nsi_image image = {0};
	struct nsi_plan *plan = NULL;
	struct nsi_spec *spec = NULL;

	(void)state;
	assert_int_equal(nsi_spec_parse("t", json, strlen(json), &spec, NULL), 0);
	login->user = somebody;
	nsi_limit_put(&login->decision.session_limits, NSI_PIDS_MAX, 5);
	nsi_limit_put(&login->decision.session_limits, NSI_MEMORY_MAX, 1 << 20);
	assert_int_equal(nsi_plan_make(spec, login, &image, 0x70000000, &plan, NULL), 0);
	check_text(&plan->resources, "pids.max=7");
	check_text(&plan->session_resources, "memory.max=1M pids.max=5");
	nsi_plan_free(plan);
	/* No policy, no sessions. */
	assert_int_equal(nsi_plan_make(spec, NULL, &image, 0, &plan, NULL), 0);
	check_text(&plan->session_resources, "");
	nsi_plan_free(plan);
	nsi_spec_free(spec);
	free(login);
}

#define START                                                                                                \
	"6,1042,98765432,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,"
#define GROUP "/nsinit/fe00-12/session-7"

static void oom_records(void **state)
{
	static const char *const others[] = {"", "6", "6,1,2,-;",
		"x,1,2,-;oom-kill:,task_memcg=/,task=a,pid=1,uid=0",
		/* A program's own word for it, by /dev/kmsg or syslog(2): the facility is never the kernel's.
		 */
		"12,1042,98765432,-;oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/a,task=b,pid=1,uid=0",
		"6,1042,98765432,-;Memory cgroup out of memory: Killed process 77 (awk)",
		START "task_memcg=" GROUP ",task=awk,pid=0,uid=0",
		START "task_memcg=" GROUP ",task=awk,pid=,uid=0",
		START "task_memcg=" GROUP ",task=awk,pid=99999999999,uid=0",
		START "task_memcg=" GROUP ",task=awk", START "global_oom,task=awk,pid=7,uid=0"};
	struct nsi_oom_victim v;
	char endless[2000] = START "task_memcg=/";

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (nsi_parse_oom_record(others[i], &v))
			fail_msg("taken for one: %s", others[i]);
	memset(endless + strlen(endless), 'g', 1000);
	size_t used = strlen(endless);
	snprintf(endless + used, sizeof(endless) - used, ",task=awk,pid=7,uid=0");
	assert_false(nsi_parse_oom_record(endless, &v));

	assert_true(nsi_parse_oom_record(START "oom_memcg=/nsinit/fe00-12,task_memcg=" GROUP
					       ",task=awk,pid=1300,uid=1001\n SUBSYSTEM=x\n",
		&v));
	assert_string_equal(v.group, GROUP);
	assert_string_equal(v.name, "awk");
	assert_int_equal(v.pid, 1300);
	/* The name is its user's choice. */
	assert_true(nsi_parse_oom_record(
		START "global_oom,task_memcg=" GROUP ",task=x,pid=1,uid=0,pid=1300,uid=1001\n", &v));
	assert_string_equal(v.group, GROUP);
	assert_string_equal(v.name, "x?pid?1?uid?0");
	assert_int_equal(v.pid, 1300);
	assert_true(nsi_parse_oom_record(START "task_memcg=" GROUP ",task=\\x1b[2J \"],pid=9,uid=0", &v));
	assert_string_equal(v.name, "?x1b?2J???");
	assert_true(nsi_parse_oom_record(START "task_memcg=" GROUP ",task=,pid=9,uid=0", &v));
	assert_string_equal(v.name, "");
	assert_true(nsi_parse_oom_record(
		START "task_memcg=" GROUP ",task=much-longer-than-any-is,pid=9,uid=0", &v));
	assert_string_equal(v.name, "much-longer-tha");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(session_limits),
		cmocka_unit_test(session_limits_in_a_plan), cmocka_unit_test(oom_records)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
