/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/prog/monitor_line.c
/* The monitor's line editor and parser, with every byte there is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "hv/prog/monitor_line.h"

static struct line line;
static char shown[4000];

/* -> how many lines were completed; the last one is in `line`. */
static unsigned type(const char *keys)
{
	unsigned lines = 0;

	shown[0] = 0;
	for (; *keys; keys++) {
		const char *echo;

		if (lines && !line.after_cr)
			line_clear(&line);
		if (line_key(&line, (uint8_t)*keys, &echo))
			lines++;
		strcat(shown, echo);
	}
	return lines;
}

static int fresh(void **state)
{
	(void)state;
	memset(&line, 0, sizeof(line));
	return 0;
}

static void test_typing(void **state)
{
	(void)state;
	assert_int_equal(type("list\r"), 1);
	assert_string_equal(line.text, "list");
	assert_string_equal(shown, "list\n");
	line_clear(&line);
	assert_int_equal(type("\n"), 0); /* of the CR before */
	assert_int_equal(type("\n"), 1);
	assert_string_equal(line.text, "");
}

static void test_editing(void **state)
{
	(void)state;
	assert_int_equal(type("\b\177lip\bst\177\177x\r"), 1);
	assert_string_equal(line.text, "lix");
	assert_string_equal(shown, "lip\b \bst\b \b\b \bx\n");
	line_clear(&line);
	assert_int_equal(type("off\003"), 1);
	assert_string_equal(line.text, ""); /* and not carried out */
	line_clear(&line);
	assert_int_equal(type("a\033[Ab\033[1;5Cc\033OAd\033xe\tf\r"), 1);
	assert_string_equal(line.text, "abcdef");
	line_clear(&line);
	assert_int_equal(type("a\033[1\r"),
			 1); /* a sequence that never ends does not take the line */
	assert_string_equal(line.text, "a");
}

static void test_long_line(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(type("y"), 0);
	assert_string_equal(shown, "\a");
	assert_int_equal(line.len, LINE_MAX);
	assert_int_equal(strlen(line.text), LINE_MAX);
	for (unsigned i = 0; i < 100; i++)
		(void)type("\b");
	assert_int_equal(line.len, 0);
}

static void test_any_bytes(void **state)
{
	(void)state;
	srand(1);
	for (unsigned i = 0; i < 1000000; i++) {
		const char *echo;
		uint32_t number;

		if (line_key(&line, (uint8_t)rand(), &echo)) {
			(void)line_parse(line.text, &number);
			line_clear(&line);
		}
		assert_true(strlen(echo) < 8);
		assert_true(line.len <= LINE_MAX && line.text[line.len] == 0);
		for (unsigned k = 0; k < line.len; k++)
			assert_true(line.text[k] >= ' ' && line.text[k] <= '~');
	}
}

static void parses(const char *text, enum monitor_verb verb, uint32_t wanted)
{
	uint32_t number = 0;

	assert_int_equal(line_parse(text, &number), verb);
	assert_int_equal(number, wanted);
}

static void test_parser(void **state)
{
	(void)state;
	parses("", VERB_NONE, 0);
	parses("   ", VERB_NONE, 0);
	parses("help", VERB_HELP, 0);
	parses("  list  ", VERB_LIST, 0);
	parses("pause 3", VERB_PAUSE, 3);
	parses("resume   999999999", VERB_RESUME, 999999999);
	parses("log", VERB_LOG, 0);
	parses("dump", VERB_DUMP, 0);
	parses("restart", VERB_RESTART, 0);
	parses("reboot", VERB_REBOOT, 0);
	parses("off", VERB_OFF, 0);
	parses("of", VERB_UNKNOWN, 0);
	parses("offf", VERB_UNKNOWN, 0);
	parses("OFF", VERB_UNKNOWN, 0);
	parses("pause", VERB_NEEDS_NUMBER, 0);
	parses("pause web", VERB_NEEDS_NUMBER, 0);
	parses("pause -1", VERB_NEEDS_NUMBER, 0);
	parses("pause 9999999999", VERB_NEEDS_NUMBER, 0);
	parses("pause 3x", VERB_NEEDS_NUMBER, 0);
	parses("off now", VERB_TOO_MANY, 0);
	parses("pause 3 4", VERB_TOO_MANY, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_typing, fresh),
		cmocka_unit_test_setup(test_editing, fresh),
		cmocka_unit_test_setup(test_long_line, fresh),
		cmocka_unit_test_setup(test_any_bytes, fresh),
		cmocka_unit_test(test_parser),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
