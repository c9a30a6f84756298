/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/lib/printf.c
// SRC: hv/lib/log.c
// SRC: hv/lib/string.c
/* hv's formatting against the C library's, its bounds, and what the log makes of lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "hv/lib/log.h"
#include "hv/lib/string.h"

volatile bool panic_active;
static char said[4096];
static size_t said_len;
static uint64_t now_ns;

static void output(const char *text, size_t len)
{
	assert_true(said_len + len < sizeof(said));
	memcpy(said + said_len, text, len);
	said_len += len;
	said[said_len] = '\0';
}

static uint64_t clock_ns(void)
{
	return now_ns;
}

static int hear(void **state)
{
	(void)state;
	said_len = 0;
	said[0] = '\0';
	now_ns = 1234567890;
	log_output = output;
	log_clock = clock_ns;
	return 0;
}

#define SAME(...)                                                                                  \
	do {                                                                                       \
		char ours[200], theirs[200];                                                       \
		int n = hv_snprintf(ours, sizeof(ours), __VA_ARGS__);                              \
		assert_int_equal(n, snprintf(theirs, sizeof(theirs), __VA_ARGS__));                \
		assert_string_equal(ours, theirs);                                                 \
	} while (0)

static void test_like_libc(void **state)
{
	(void)state;
	SAME("plain");
	SAME("%s|%10s|%-10s|%.3s|%.*s", "abc", "abc", "abc", "abcdef", 2, "abcdef");
	SAME("%c%5c%%", 'x', 'y');
	SAME("%d %d %d %5d %05d %-5d| %ld %lld", 0, -1, 2147483647, -42, -42, -42, -1l, -1ll);
	SAME("%d %ld %lld", -2147483647 - 1, (long)INT64_MIN, (long long)INT64_MIN);
	SAME("%u %lu %llu %zu", 4000000000u, 1ul << 63, ~0ull, (size_t)77);
	SAME("%x %08x %lx %016llx %-6x|", 0u, 0xbeefu, ~0ul, 0x123ull, 0xau);
	SAME("%p", (void *)0x1234);
	SAME("%5llu.%06llu", 3ull, 42ull);
	SAME("%2d", 12345);
}

static void test_bounds(void **state)
{
	char buf[8];

	(void)state;
	memset(buf, 'Z', sizeof(buf));
	assert_int_equal(hv_snprintf(buf, 4, "%s", "abcdef"), 6);
	assert_string_equal(buf, "abc");
	assert_int_equal(buf[4], 'Z');
	assert_int_equal(hv_snprintf(buf, 0, "abc"), 3);
	assert_int_equal(buf[0], 'a');
	assert_int_equal(hv_snprintf(buf, 1, "%d", 5), 1);
	assert_int_equal(buf[0], '\0');
}

static int format_unchecked(char *buf, size_t size, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = hv_vsnprintf(buf, size, format, args);
	va_end(args);
	return n;
}

static void test_unknown_stops(void **state)
{
	char buf[32];

	(void)state;
	format_unchecked(buf, sizeof(buf), "%d %q %s", 1, 2, (char *)8);
	assert_string_equal(buf, "1 %q %s");
	format_unchecked(buf, sizeof(buf), "end %");
	assert_string_equal(buf, "end %");
	assert_int_equal(format_unchecked(buf, sizeof(buf), "%999999999999d", 5), 64); /* bounded */
	assert_int_equal(format_unchecked(buf, sizeof(buf), "%s", (char *)NULL), 6);
}

static void test_log_lines(void **state)
{
	(void)state;
	log_printf("one");
	log_printf("two\n");
	log_printf("a\nb");
	assert_string_equal(said, "[    1.234567] one\n[    1.234567] two\n"
				  "[    1.234567] a\n[    1.234567] b\n");
}

static void test_log_cuts_long_messages(void **state)
{
	char text[2 * LOG_LINE + 1];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_printf("%s", text);
	assert_int_equal(said_len, strlen("[    1.234567] ") + LOG_LINE - 1 + 1);
	assert_int_equal(said[said_len - 1], '\n');
}

static void test_program_text(void **state)
{
	char long_text[700];

	(void)state;
	log_write("half ", 5);
	log_write("line\r\n", 6);
	assert_string_equal(said, "[    1.234567] half line\n");
	hear(NULL);
	log_write("open", 4);
	log_printf("other");
	assert_string_equal(said, "[    1.234567] open\n[    1.234567] other\n");
	hear(NULL);
	log_write("\033[2J\t\177\n", 7);
	assert_string_equal(said, "[    1.234567] ?[2J\t?\n");
	hear(NULL);
	memset(long_text, 'y', sizeof(long_text));
	log_write(long_text, sizeof(long_text));
	log_write("\n", 1);
	assert_int_equal(said_len, strlen("[    1.234567] ") + sizeof(long_text) + 1);
}

static void test_ring(void **state)
{
	static char text[LOG_RING + 1];
	uint64_t at = log_end(), start = at;
	char tail[40];

	(void)state;
	log_printf("first");
	log_printf("second");
	assert_int_equal(log_read(&at, text, sizeof(text)), 2 * strlen("[    1.234567] ") + 13);
	assert_int_equal(strncmp(text, said, said_len), 0);
	assert_int_equal(at, log_end());
	assert_int_equal(log_read(&at, text, sizeof(text)), 0);
	at = start;
	assert_int_equal(log_read(&at, text, 5), 5);
	assert_int_equal(at, start + 5);
	log_tail(tail, sizeof(tail)); /* the first line does not fit */
	assert_string_equal(tail, "[    1.234567] second\n");
	for (unsigned i = 0; i < 2000; i++) {
		said_len = 0;
		log_printf("line %u", i);
	}
	at = start; /* long gone */
	assert_int_equal(log_read(&at, text, sizeof(text)), LOG_RING);
	assert_int_equal(at, log_end());
	text[LOG_RING] = '\0';
	assert_non_null(strstr(text, "] line 1999\n"));
	log_output = NULL; /* kept although nobody prints it */
	log_printf("silent");
	log_tail(tail, sizeof(tail));
	assert_string_equal(tail, "[    1.234567] silent\n");
}

static void test_strings(void **state)
{
	char buf[4] = "zzz";

	(void)state;
	str_copy(buf, "abcdef", sizeof(buf));
	assert_string_equal(buf, "abc");
	str_copy(buf, "x", sizeof(buf));
	assert_string_equal(buf, "x");
	str_copy(buf, "y", 0);
	assert_string_equal(buf, "x");
	assert_string_equal(strchr_const("a=b", '='), "=b");
	assert_null(strchr_const("ab", '='));
	assert_non_null(strchr_const("ab", '\0'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_like_libc),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_unknown_stops),
		cmocka_unit_test_setup(test_log_lines, hear),
		cmocka_unit_test_setup(test_log_cuts_long_messages, hear),
		cmocka_unit_test_setup(test_program_text, hear),
		cmocka_unit_test_setup(test_ring, hear),
		cmocka_unit_test(test_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
