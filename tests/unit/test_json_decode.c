/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON: the strict scanner, places of values, and typed decoding of a VM's description. */
// SRC: ctrl-kernel/api/json.c
// SRC: ctrl-kernel/api/json_scan.c
// SRC: ctrl-kernel/api/vmspec.c
// SRC: ctrl-kernel/api/out.c
// SRC: ctrl-kernel/api/buf.c
// SRC: build/deps/src/cjson/cJSON.c
// FLAGS: -isystem build/deps/src/cjson -DCJSON_NESTING_LIMIT=16
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "cJSON.h"
#include "ctrl-kernel/api/api.h"
#include "ctrl-kernel/api/json.h"
#include "ctrl-kernel/api/json_scan.h"

static bool scan(const char *text)
{
	struct json_place at;

	return json_scan(text, strlen(text), &at);
}

static const char *const good[] = {
	"{}",
	"[]",
	" [ 1 , -2.5e+3 , 0 , \"\" , true , false , null ] ",
	"\"x\"",
	"0",
	"{\"a\":{\"b\":[{}]},\"c\":\"\\u00e4\\n\\\"\"}",
	"\"\\ud83d\\ude00 \xc3\xa4\"",
	"[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]",
};
static const char *const bad[] = {
	"",
	" ",
	"{",
	"[",
	"{}}",
	"[1,]",
	"{\"a\":1,}",
	"{\"a\"}",
	"{a:1}",
	"{'a':1}",
	"01",
	"1.",
	".5",
	"+1",
	"-",
	"1e",
	"nul",
	"truee",
	"[1 2]",
	"{\"a\":1 \"b\":2}",
	"[}",
	"{]",
	"\"",
	"\"\\x\"",
	"\"\\u12\"",
	"\"\\u0000\"",
	"\"a\tb\"",
	"\"\xff\"",
	"\"\xc0\x80\"",
	"\"\xed\xa0\x80\"",
	"\"\\ud800\"",
	"\"\\ude00\"",
	"\"\\ud800x\"",
	"{} {}",
	"/**/1",
	"NaN",
	"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]",
	"1000000000000000000000000000000000000000000000000000000000000000000000000",
};

static void test_scan(void **state)
{
	struct json_place at;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		if (!scan(good[i]))
			fail_msg("refused: %s", good[i]);
		cJSON *root = cJSON_Parse(good[i]);
		assert_non_null(root); /* cJSON agrees */
		cJSON_Delete(root);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		if (scan(bad[i]))
			fail_msg("accepted: %s", bad[i]);
	assert_false(json_scan("1\0", 2, &at));
	assert_false(json_scan("{\n \"a\": 1,\n  x}", 15, &at));
	assert_int_equal(at.line, 3);
	assert_int_equal(at.column, 3);
}

static void expect_place(const char *text, const char *pointer, unsigned line)
{
	struct json_place at = {0};

	assert_int_equal(json_locate(text, strlen(text), pointer, &at), line != 0);
	assert_int_equal(at.line, line);
}

static void test_locate(void **state)
{
	static const char text[] =
		"{\n\"vms\": [\n{\"name\":\"a\"},\n{\"name\":\n\"b\", \"a/b\":\n1, "
		"\"c~d\":[[],\n[2,\n3]]}\n]}";

	(void)state;
	expect_place(text, "", 1);
	expect_place(text, "/vms", 2);
	expect_place(text, "/vms/0", 3);
	expect_place(text, "/vms/0/name", 3);
	expect_place(text, "/vms/1", 4);
	expect_place(text, "/vms/1/name", 5);
	expect_place(text, "/vms/1/a~1b", 6);
	expect_place(text, "/vms/1/c~0d/1/1", 8);
	expect_place(text, "/vms/2", 0);
	expect_place(text, "/vms/0/nam", 0);
	expect_place(text, "/x", 0);
	expect_place(text, "/vms/1/c~0d/0/0", 0);
}

static bool decode(const char *text, struct vm_spec *spec, struct json_errors *errors)
{
	cJSON *root;
	bool ok;

	memset(errors, 0, sizeof(*errors));
	memset(spec, 0, sizeof(*spec));
	root = json_parse(text, strlen(text), errors);
	if (!root)
		return false;
	ok = json_decode(root, &vmspec_object, spec, "", errors);
	cJSON_Delete(root);
	assert_int_equal(ok, errors->n == 0);
	return ok;
}

static void test_decode(void **state)
{
	struct json_errors errors;
	struct vm_spec s;

	(void)state;
	assert_true(decode(
		"{\"name\":\"v\",\"vcpus\":2,\"memory\":\"256MiB\",\"boot\":{\"kernel\":\"k\","
		"\"initrd\":null,\"cmdline\":\"a=b \\u00e4\",\"modules\":[{\"image\":\"m\"},"
		"{\"image\":\"n\",\"string\":\"s\"}]},\"weight\":7,\"cap\":50}",
		&s, &errors));
	assert_string_equal(s.name, "v");
	assert_int_equal(s.vcpus, 2);
	assert_int_equal(s.memory, 256 << 20);
	assert_string_equal(s.kernel, "k");
	assert_string_equal(s.initrd, "");
	assert_string_equal(s.cmdline, "a=b \xc3\xa4");
	assert_int_equal(s.n_modules, 2);
	assert_string_equal(s.modules[0].image, "m");
	assert_string_equal(s.modules[1].string, "s");
	assert_int_equal(s.weight, 7);
	assert_int_equal(s.cap, 50);
	assert_true(decode(
		"{\"name\":\"v\",\"vcpus\":2e0,\"memory\":1048576,\"boot\":{\"kernel\":\"k\"}}", &s,
		&errors));
	assert_int_equal(s.memory, 1048576);
	assert_true(decode("{\"name\":\"v\",\"vcpus\":1,\"memory\":1048576,\"boot\":{\"kernel\":"
			   "\"k\"},\"nics\":[{"
			   "\"network\":\"n\",\"trunk\":[7,4094],\"addresses\":[\"a\",\"b\"]}]}",
			   &s, &errors));
	assert_int_equal(s.nics[0].n_trunk, 2);
	assert_int_equal(s.nics[0].trunk[1], 4094);
	assert_int_equal(s.nics[0].n_addresses, 2);
	assert_string_equal(s.nics[0].addresses[1], "b");
}

#define OK_REST "\"vcpus\":1,\"memory\":1048576,\"boot\":{\"kernel\":\"k\"}"

static const struct {
	const char *text, *pointer;
} decode_rows[] = {
	{"[]", ""},
	{"{\"name\":\"v\"," OK_REST ",\"x/y~\":1}", "/x~1y~0"},
	{"{\"name\":\"v\"," OK_REST ",\"vcpus\":1}", "/vcpus"},
	{"{\"name\":\"v\"," OK_REST ",\"autostart\":1}", "/autostart"},
	{"{\"name\":1," OK_REST "}", "/name"},
	{"{\"name\":null," OK_REST "}", "/name"},
	{"{" OK_REST "}", "/name"},
	{"{\"name\":\"v\",\"vcpus\":\"1\",\"memory\":1,\"boot\":{\"kernel\":\"k\"}}", "/vcpus"},
	{"{\"name\":\"v\",\"vcpus\":1.5,\"memory\":1,\"boot\":{\"kernel\":\"k\"}}", "/vcpus"},
	{"{\"name\":\"v\",\"vcpus\":-1,\"memory\":1,\"boot\":{\"kernel\":\"k\"}}", "/vcpus"},
	{"{\"name\":\"v\",\"vcpus\":4294967296,\"memory\":1,\"boot\":{\"kernel\":\"k\"}}",
	 "/vcpus"},
	{"{\"name\":\"v\",\"vcpus\":1,\"memory\":1e300,\"boot\":{\"kernel\":\"k\"}}", "/memory"},
	{"{\"name\":\"v\",\"vcpus\":1,\"memory\":1e999,\"boot\":{\"kernel\":\"k\"}}", "/memory"},
	{"{\"name\":\"v\",\"vcpus\":1,\"memory\":9007199254740994,\"boot\":{\"kernel\":"
	 "\"k\"}}",
	 "/memory"},
	{"{\"name\":\"v\",\"vcpus\":1,\"memory\":\"256MB\",\"boot\":{\"kernel\":\"k\"}}",
	 "/memory"},
	{"{\"name\":\"v\",\"vcpus\":1,\"memory\":\"99999999999TiB\",\"boot\":{\"kernel\":"
	 "\"k\"}}",
	 "/memory"},
	{"{\"name\":\"v\",\"vcpus\":1,\"memory\":1,\"boot\":[]}", "/boot"},
	{"{\"name\":\"v\",\"vcpus\":1,\"memory\":1,\"boot\":{}}", "/boot/kernel"},
	{"{\"name\":\"v\",\"vcpus\":1,\"memory\":1,\"boot\":{\"kernel\":\"k\",\"z\":0}}",
	 "/boot/z"},
	{"{\"name\":\"v\",\"vcpus\":1,\"memory\":1,\"boot\":{\"kernel\":\"k\",\"modules\":["
	 "{\"image\":"
	 "\"a\"},{}]}}",
	 "/boot/modules/1/image"},
	{"{\"name\":\"v\",\"vcpus\":1,\"memory\":1,\"boot\":{\"kernel\":\"k\",\"modules\":["
	 "{\"image\":"
	 "\"a\"},7]}}",
	 "/boot/modules/1"},
	{"{\"name\":\"v\",\"vcpus\":1,\"memory\":1,\"boot\":{\"kernel\":\"k\",\"modules\":{"
	 "}}}",
	 "/boot/modules"},
	{"{\"name\":\"v\"," OK_REST ",\"nics\":[{\"network\":\"n\",\"trunk\":[7,-1]}]}",
	 "/nics/0/trunk/1"},
	{"{\"name\":\"v\"," OK_REST ",\"nics\":[{\"network\":\"n\",\"trunk\":7}]}",
	 "/nics/0/trunk"},
	{"{\"name\":"
	 "\"0123456789012345678901234567890123456789012345678901234567890123\"," OK_REST "}",
	 "/name"},
};

static void test_decode_errors(void **state)
{
	struct json_errors errors;
	struct vm_spec spec;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(decode_rows); i++) {
		if (decode(decode_rows[i].text, &spec, &errors))
			fail_msg("accepted: %s", decode_rows[i].text);
		assert_string_equal(errors.e[0].pointer, decode_rows[i].pointer);
	}
	assert_false(decode("{\"name\":\"v\",\"vcpus\":\"x\",\"memory\":true}", &spec, &errors));
	assert_int_equal(errors.n, 3); /* all at once */
	assert_false(
		decode("{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0}",
		       &spec, &errors));
	assert_int_equal(errors.n, JSON_ERRORS_MAX);
	assert_false(decode("{\"name\":", &spec, &errors));
	assert_int_equal(errors.e[0].line, 1);
}

static void test_many_modules(void **state)
{
	struct json_errors errors;
	struct vm_spec spec;
	char text[1000];
	size_t n = 0;

	(void)state;
	n += (size_t)snprintf(text, sizeof(text),
			      "{\"name\":\"v\",\"vcpus\":1,\"memory\":1,\"boot\":{"
			      "\"kernel\":\"k\",\"modules\":[");
	for (unsigned i = 0; i < 9; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s{\"image\":\"i\"}",
				      i ? "," : "");
	snprintf(text + n, sizeof(text) - n, "]}}");
	assert_false(decode(text, &spec, &errors));
	assert_string_equal(errors.e[0].pointer, "/boot/modules");
}

static void test_out(void **state)
{
	struct buf b = {0};
	struct out o = {.b = &b};

	(void)state;
	out_object(&o, NULL);
	out_str(&o, "s", "a\"\\\n\x7f\xff\xc3\xa4");
	out_u64(&o, "n", UINT64_MAX);
	out_array(&o, "a");
	out_bool(&o, NULL, true);
	out_null(&o, NULL);
	out_close(&o, ']');
	out_time(&o, "t", 1700000000123000000ull);
	out_time(&o, "z", 0);
	out_hex(&o, "h", (const uint8_t *)"\x01\xab", 2);
	out_close(&o, '}');
	buf_add(&b, "", 1);
	assert_string_equal(
		b.data, "{\"s\":\"a\\\"\\\\\\u000a\\u007f?\xc3\xa4\",\"n\":18446744073709551615,"
			"\"a\":[true,null],\"t\":\"2023-11-14T22:13:20.123Z\",\"z\":null,"
			"\"h\":\"01ab\"}");
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan),         cmocka_unit_test(test_locate),
		cmocka_unit_test(test_decode),       cmocka_unit_test(test_decode_errors),
		cmocka_unit_test(test_many_modules), cmocka_unit_test(test_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
