/* Recordings: text of whatever a terminal shows, and files that are whole however they end. */
#include "../../libcore/act/cast.h"
#include "../../libcore/parse/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static void expect(const char *data, size_t len, const char *text)
{
	char out[NSI_CAST_TEXT];
	struct nsi_utf8 held = {0};

	/* In one piece, and byte by byte: the same. */
	size_t n = nsi_cast_text(&held, data, len, true, out), at = 0;
	assert_int_equal(n, strlen(text));
	assert_string_equal(out, text);
	char all[256];
	for (size_t i = 0; i < len; i++) {
		n = nsi_cast_text(&held, data + i, 1, i == len - 1, out);
		assert_true(at + n < sizeof(all));
		memcpy(all + at, out, n + 1);
		at += n;
	}
	assert_string_equal(all, text);
}

#define EXPECT(data, text) expect(data, sizeof(data) - 1, text)
#define BAD "\xef\xbf\xbd"

static void texts(void **state)
{
	(void)state;
	EXPECT("plain", "plain");
	EXPECT("a\"b\\c", "a\\\"b\\\\c");
	EXPECT("\0\r\n\x1b[m\x7f", "\\u0000\\u000d\\u000a\\u001b[m\\u007f");
	EXPECT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
	EXPECT("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");
	EXPECT("\xff", BAD);
	EXPECT("\x80x", BAD "x");
	EXPECT("\xc3", BAD);
	EXPECT("\xc3x", BAD "x");
	EXPECT("\xe2\x82\"", BAD "\\\"");
	EXPECT("\xe2\xc3\xa4", BAD "\xc3\xa4");
	EXPECT("\xc0\xaf", BAD BAD);                 /* a slash in two bytes */
	EXPECT("\xe0\x80\xaf", BAD BAD BAD);         /* and in three */
	EXPECT("\xed\xa0\x80", BAD BAD BAD);         /* half a surrogate pair */
	EXPECT("\xf4\x90\x80\x80", BAD BAD BAD BAD); /* above U+10FFFF */
}

static void longest_text(void **state)
{
	char data[NSI_CAST_CHUNK], *out = malloc(NSI_CAST_TEXT);
	struct nsi_utf8 held = {.part = {0xf0, 0x9f, 0x98}, .n = 3};

	(void)state;
	assert_non_null(out);
	memset(data, 1, sizeof(data));
	assert_int_equal(nsi_cast_text(&held, data, sizeof(data), true, out), 3 + 6 * sizeof(data));
	free(out);
}

/* Every line of it is JSON; their number. */
static int check_file(int fd, size_t size)
{
	char *text = calloc(1, size + 1), *rest = text, *line;
	int n = 0;

	assert_non_null(text);
	assert_int_equal(pread(fd, text, size, 0), (ssize_t)size);
	assert_true(size == 0 || text[size - 1] == '\n');
	while ((line = strtok_r(rest, "\n", &rest))) {
		json_object *object = json_tokener_parse(line);

		assert_non_null(object);
		assert_int_equal(json_object_get_type(object), n++ ? json_type_array : json_type_object);
		json_object_put(object);
	}
	free(text);
	return n;
}

static uint64_t used;

static struct nsi_cast begin(uint64_t limit, int *ret_copy)
{
	const struct nsi_cast_head head = {.columns = 80, .rows = 24, .title = "alice \"at\" \xff"};
	struct nsi_cast cast = {.limit = limit, .used = &used};
	int fd = memfd_create("cast", 0);

	assert_true(fd >= 0);
	used = 0;
	*ret_copy = dup(fd);
	assert_int_equal(nsi_cast_begin(&cast, fd, &head), 0);
	return cast;
}

static void file(void **state)
{
	int copy;
	struct nsi_cast cast = begin(0, &copy);

	(void)state;
	assert_int_equal(nsi_cast_data(&cast, 'o', "\xc3", 1), 0);
	assert_int_equal(nsi_cast_data(&cast, 'i', "x", 1), 0);
	assert_int_equal(nsi_cast_data(&cast, 'o', "\xa4", 1), 0);
	assert_int_equal(nsi_cast_resize(&cast, 100, 30), 0);
	assert_int_equal(nsi_cast_data(&cast, 'o', "\xe2\x82", 2), 0);
	assert_int_equal(nsi_cast_end(&cast), 0);
	assert_int_equal(cast.fd, -1);
	assert_int_equal(check_file(copy, cast.written), 5);
	assert_int_equal(used, cast.written);
	assert_int_equal(nsi_cast_data(&cast, 'o', "x", 1), 0);
	close(copy);
}

static void limit(void **state)
{
	int copy, r = 0, n = 0;
	struct nsi_cast cast = begin(1000, &copy);

	(void)state;
	while (r == 0 && n++ < 1000)
		r = nsi_cast_data(&cast, 'o', "0123456789", 10);
	assert_int_equal(r, -EFBIG);
	assert_int_equal(cast.fd, -1);
	assert_in_range(cast.written, 700, 1000);
	assert_int_equal(check_file(copy, cast.written), n + 1); /* the head, and a marker for the last */
	close(copy);
	/* What others have written counts as well. */
	cast = begin(1000, &copy);
	used = 900;
	assert_int_equal(nsi_cast_data(&cast, 'o', "x", 1), -EFBIG);
	close(copy);
}

/* How large a file may become stands in for the room that there is. */
static void set_room(rlim_t room)
{
	struct rlimit l;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
	l.rlim_cur = room;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

/* What is there is whole; and where there is room again it goes on, and says what it lacks. */
static void full(void **state)
{
	char path[] = "/tmp/test-cast.XXXXXX", text[4096];
	struct nsi_cast cast = {.fd = -1};
	int fd = mkstemp(path), copy = dup(fd);

	(void)state;
	assert_true(fd >= 0 && copy >= 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_APPEND), 0);
	signal(SIGXFSZ, SIG_IGN);
	set_room(20);
	cast.missing = 7;
	assert_int_equal(nsi_cast_begin(&cast, fd, &(struct nsi_cast_head){80, 24, "x"}), -EFBIG);
	assert_int_equal(check_file(copy, cast.written), 0);
	set_room(RLIM_INFINITY);
	assert_int_equal(nsi_cast_data(&cast, 'o', "begin", 5), 0);
	assert_int_equal(check_file(copy, cast.written), 3); /* head, marker, event */
	set_room(cast.written + 10);
	assert_int_equal(nsi_cast_data(&cast, 'o', "first", 5), -EFBIG);
	assert_int_equal(check_file(copy, cast.written), 3);
	assert_int_equal(lseek(copy, 0, SEEK_END), (off_t)cast.written);
	set_room(RLIM_INFINITY);
	assert_int_equal(nsi_cast_data(&cast, 'o', "next", 4), 0); /* not yet */
	assert_int_equal(cast.missing, 9);
	usleep(1100 * 1000);
	assert_int_equal(nsi_cast_data(&cast, 'o', "end", 3), 0);
	assert_int_equal(cast.missing, 0);
	assert_int_equal(nsi_cast_end(&cast), 0);
	assert_int_equal(check_file(copy, cast.written), 5);
	text[pread(copy, text, sizeof(text) - 1, 0)] = '\0';
	assert_non_null(strstr(text, "\"m\", \"no room: 7 bytes are missing\"]\n"));
	assert_non_null(strstr(text, "\"m\", \"no room: 9 bytes are missing\"]\n"));
	assert_null(strstr(text, "first"));
	close(copy);
	unlink(path);
}

static struct nsi_policy *parse(const char *top, const char *options, struct nsi_error *err)
{
	struct nsi_policy *policy = NULL;
	char text[512];

	snprintf(text, sizeof(text),
		"version = 1; unmapped = \"host\"; %s\n"
		"rules: ( { user = \"a\"; rootfs = \"/srv/a\"; %s } );",
		top, options);
	nsi_policy_parse("policy", text, strlen(text), &policy, err);
	return policy;
}

static void policies(void **state)
{
	static const char *const bad[] = {"record = true;", "record = \"all\";", "record_input = 1;",
		"record_required = \"yes\";", "record_size = 65536;", "record_size = \"1K\";",
		"record_size = \"x\";", "record_dir = \"/x\";", "record = \"tty\"; tty = \"relay\";"};
	static const char *const bad_top[] = {"record_dir = \"x\";", "record_dir = 1;", "record_age = 0;",
		"record_age = \"1d\";", "record_total = \"1K\";", "record = \"tty\";"};
	struct nsi_error err = {0};

	(void)state;
	struct nsi_policy *policy = parse("", "", &err);
	assert_non_null(policy);
	assert_false(policy->rules[0].options.recording.tty);
	assert_string_equal(policy->rules[0].options.recording.dir, NSI_RECORD_DIR);
	nsi_policy_free(policy);
	policy = parse("record_dir = \"/r\"; record_age = 90; record_total = \"1G\"; "
		       "defaults: { record = \"tty\"; record_size = \"1M\"; };",
		"record_required = true; record_input = true;", &err);
	assert_non_null(policy);
	const struct nsi_recording *recording = &policy->rules[0].options.recording;
	assert_true(recording->tty && recording->input && recording->required);
	assert_int_equal(recording->size, 1 << 20);
	assert_string_equal(recording->dir, "/r");
	assert_int_equal(policy->records.days, 90);
	assert_int_equal(policy->records.total, 1 << 30);
	nsi_policy_free(policy);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(parse("", bad[i], &err));
	for (size_t i = 0; i < sizeof(bad_top) / sizeof(bad_top[0]); i++)
		assert_null(parse(bad_top[i], "", &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(texts), cmocka_unit_test(longest_text),
		cmocka_unit_test(file), cmocka_unit_test(limit), cmocka_unit_test(full),
		cmocka_unit_test(policies)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
