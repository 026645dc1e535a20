/* Recordings: text of whatever a terminal shows, and files that are whole however they end. */
#include "../../libcore/act/cast.h"
#include "../../libcore/parse/policy.h"

#include <errno.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

static struct nsi_cast begin(uint64_t limit, int *ret_copy)
{
	const struct nsi_cast_head head = {.columns = 80, .rows = 24, .title = "alice \"at\" \xff"};
	int fd = memfd_create("cast", 0);
	struct nsi_cast cast;

	assert_true(fd >= 0);
	*ret_copy = dup(fd);
	assert_int_equal(nsi_cast_begin(&cast, fd, limit, &head), 0);
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
	assert_in_range(cast.written, 800, 1000);
	assert_int_equal(check_file(copy, cast.written), n + 1); /* the head, and a marker for the last */
	close(copy);
}

/* A disk that takes no more: what is there is whole. */
static void full(void **state)
{
	int copy;
	struct nsi_cast cast = begin(0, &copy);
	struct stat st;

	(void)state;
	assert_int_equal(nsi_cast_data(&cast, 'o', "x", 1), 0);
	uint64_t whole = cast.written;
	int pair[2];
	assert_int_equal(pipe(pair), 0);
	close(pair[1]);
	close(cast.fd);
	cast.fd = dup(pair[0]); /* cannot be written to, nor cut */
	assert_true(nsi_cast_data(&cast, 'o', "y", 1) < 0);
	assert_int_equal(cast.fd, -1);
	assert_int_equal(cast.written, whole);
	assert_int_equal(fstat(copy, &st), 0);
	assert_int_equal(check_file(copy, whole), 2);
	close(pair[0]);
	close(copy);
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
