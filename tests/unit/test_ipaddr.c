/* SPDX-License-Identifier: BSD-2-Clause */
/* IP addresses in text. */
// SRC: net/ipaddr.c ctrl-kernel/rt/hex.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "net/ipaddr.h"

static void test_good(void **state)
{
	static const struct {
		const char *text;
		struct ipaddr a;
	} rows[] = {
		{"0.0.0.0", {4, {0}}},
		{"10.0.2.255", {4, {10, 0, 2, 255}}},
		{"::", {6, {0}}},
		{"::1", {6, {[15] = 1}}},
		{"fe80::", {6, {0xfe, 0x80}}},
		{"2001:db8::a:B", {6, {0x20, 1, 0x0d, 0xb8, [13] = 10, [15] = 11}}},
		{"1:2:3:4:5:6:7:89ab", {6, {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0x89, 0xab}}},
		{"1:2:3:4:5:6:7::", {6, {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7}}},
		{"::2:3:4:5:6:7:8", {6, {0, 0, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8}}},
	};
	struct ipaddr a;

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!ipaddr_parse(rows[i].text, &a))
			fail_msg("refused: %s", rows[i].text);
		if (!ipaddr_same(&a, &rows[i].a))
			fail_msg("wrong: %s", rows[i].text);
	}
}

static void test_bad(void **state)
{
	static const char *const rows[] = {
		"",
		"1",
		"1.2.3",
		"1.2.3.4.5",
		"1.2.3.256",
		"01.2.3.4",
		"1.2.3.4 ",
		" 1.2.3.4",
		"1..3.4",
		"-1.2.3.4",
		":",
		":1",
		"1:",
		":::",
		"1::2::3",
		"12345::",
		"1:2:3:4:5:6:7",
		"::g",
		"1:2:3:4:5:6:7:8:9",
		"1:2:3:4::5:6:7:8",
		"fe80::1%1",
		"::1.2.3.4",
		"::1 ",
		"1:2:3:4:5:6:7:",
		"4294967297.0.0.1",
	};
	struct ipaddr a = {.version = 77};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (ipaddr_parse(rows[i], &a))
			fail_msg("accepted: %s", rows[i]);
	assert_int_equal(a.version, 77);
}

static void test_station(void **state)
{
	static const char *const good[] = {"10.0.0.1", "fe80::1", "2001:db8::", "::2"};
	static const char *const bad[] = {"0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255",
					  "::",      "::1",       "ff02::1"};
	struct ipaddr a;

	(void)state;
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(ipaddr_parse(good[i], &a) && ipaddr_is_station(&a));
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(ipaddr_parse(bad[i], &a) && !ipaddr_is_station(&a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_station),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
