/* SPDX-License-Identifier: BSD-2-Clause */
/* DNS messages: which are carried, and which answers fit a question. */
// SRC: net/dns.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "net/dns.h"

#define TEXT(s) (const uint8_t *)(s), sizeof(s) - 1
#define ID "\x12\x34"
#define QUERY ID "\1\0\0\1\0\0\0\0\0\0"
#define QUERY_EDNS ID "\1\0\0\1\0\0\0\0\0\1"
#define NAME "\3www\7example\0" /* at 12; "example" at 16 */
#define QUESTION NAME "\0\1\0\1"
#define OPT(size) "\0\0\x29" size "\0\0\0\0\0\0"
#define ANSWER(n) ID "\x81\x80\0\1\0" n "\0\0\0\0"
#define A_RECORD "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0\1"
#define RECORD(type, bytes) "\xc0\x0c\0" type "\0\1\0\0\0\x3c\0" bytes

struct row {
	const uint8_t *m;
	size_t n;
};

static void all(const struct row *rows, size_t n, bool answers, bool good)
{
	struct dns_message out;

	for (size_t i = 0; i < n; i++)
		if ((answers ? dns_answer : dns_query)(rows[i].m, rows[i].n, &out) != good)
			fail_msg("row %zu", i);
}

static void test_queries(void **state)
{
	static const struct row good[] = {
		{TEXT(QUERY QUESTION)},
		{TEXT(QUERY "\0\0\2\0\1")}, /* of the root */
		{TEXT(QUERY_EDNS QUESTION OPT("\4\xd0"))},
		{TEXT(QUERY_EDNS QUESTION
		      "\0\0\x29\4\xd0\0\0\0\0\0\6\0\x0a\0\2zz")}, /* an option */
	};
	static const struct row bad[] = {
		{TEXT("")},
		{TEXT(ID)},
		{TEXT(QUERY)},
		{TEXT(QUERY "\3www")},
		{TEXT(QUERY NAME "\0\1\0")},
		{TEXT(QUERY QUESTION "\0")},                         /* something behind it */
		{TEXT(ID "\x81\0\0\1\0\0\0\0\0\0" QUESTION)},        /* an answer */
		{TEXT(ID "\x29\0\0\1\0\0\0\0\0\0" QUESTION)},        /* UPDATE */
		{TEXT(ID "\1\0\0\0\0\0\0\0\0\0")},                   /* no question */
		{TEXT(ID "\1\0\0\2\0\0\0\0\0\0" QUESTION QUESTION)}, /* two */
		{TEXT(ID "\1\0\0\1\0\1\0\0\0\0" QUESTION A_RECORD)},
		{TEXT(QUERY "\xc0\x0c\0\1\0\1")}, /* a pointer, to itself or not */
		{TEXT(QUERY "\3www\xc0\x0c\0\1\0\1")},
		{TEXT(QUERY "\x40www\0\0\1\0\1")},    /* a kind of label that there is none of */
		{TEXT(QUERY_EDNS QUESTION A_RECORD)}, /* no OPT */
		{TEXT(QUERY_EDNS QUESTION)},
		{TEXT(QUERY_EDNS QUESTION "\0\0\x29\4\xd0\0\0\0\0\0\7\0\x0a\0\2zz")},
		{TEXT(ID "\1\0\0\1\0\0\0\0\0\2" QUESTION OPT("\4\xd0") OPT("\4\xd0"))},
	};

	(void)state;
	all(good, ARRAY_SIZE(good), false, true);
	all(bad, ARRAY_SIZE(bad), false, false);
}

static void test_answers(void **state)
{
	static const struct row good[] = {
		{TEXT(ANSWER("\0") QUESTION)},
		{TEXT(ANSWER("\1") QUESTION A_RECORD)},
		{TEXT(ANSWER("\2") QUESTION A_RECORD A_RECORD)},
		{TEXT(ANSWER("\1") QUESTION RECORD("\x1c", "\x10") "0123456789abcdef")},
		{TEXT(ANSWER("\1") QUESTION RECORD("\5", "\5") "\2ab\xc0\x10")}, /* ab.example */
		{TEXT(ANSWER("\1") QUESTION RECORD("\x0f", "\4") "\0\5\xc0\x10")},
		{TEXT(ANSWER("\1") QUESTION RECORD("\6", "\x17") "\xc0\x10\0"
								 "01234567890123456789")},
		{TEXT(ANSWER("\1") QUESTION RECORD(
			"\x63", "\3") "\xc0\xff\xff")}, /* of a type not known: anything */
		{TEXT(ID "\x81\x80\0\1\0\1\0\0\0\1" QUESTION A_RECORD OPT("\4\xd0"))},
	};
	static const struct row bad[] = {
		{TEXT(QUERY QUESTION)},
		{TEXT(ANSWER("\1") QUESTION)},
		{TEXT(ANSWER("\0") QUESTION A_RECORD)},
		{TEXT(ANSWER("\2") QUESTION A_RECORD)},
		{TEXT(ANSWER("\1") QUESTION RECORD("\1", "\5") "01234")}, /* an address of five */
		{TEXT(ANSWER("\1") QUESTION RECORD("\1", "\4") "012")},
		{TEXT(ANSWER("\1") QUESTION
		      "\xc0\x21\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0\1")}, /* forwards */
		{TEXT(ANSWER("\1") QUESTION
		      "\xc0\x1d\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0\1")}, /* to itself */
		{TEXT(ANSWER("\1") QUESTION
		      "\xc0\x04\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0\1")},          /* into the header */
		{TEXT(ANSWER("\1") QUESTION RECORD("\5", "\2") "\xc0\x29")}, /* a loop of one */
		{TEXT(ANSWER("\1")
			      QUESTION RECORD("\5", "\4") "\1a\xc0\x29")}, /* and of a label more */
		{TEXT(ANSWER("\1") QUESTION RECORD(
			"\5", "\3") "\xc0\x10\0")}, /* a byte behind the name */
		{TEXT(ANSWER("\1") QUESTION RECORD("\5", "\1") "\xc0\x10")},
		{TEXT(ANSWER("\1") QUESTION RECORD("\6", "\4") "\xc0\x10\xc0\x10")},
		{TEXT(ID "\x81\x80\xff\xff\xff\xff\xff\xff\xff\xff" QUESTION)},
	};

	(void)state;
	all(good, ARRAY_SIZE(good), true, true);
	all(bad, ARRAY_SIZE(bad), true, false);
}

/* Names of 255 bytes, and of more. */
static void test_long_names(void **state)
{
	uint8_t m[400] = ID "\1\0\0\1\0\0\0\0\0\0";
	struct dns_message out;
	size_t at = 12;

	(void)state;
	for (unsigned i = 0; i < 4; i++, at += 62) {
		m[at] = 61;
		memset(m + at + 1, 'a', 61);
	}
	m[at] = 5; /* 248 + 6 + 1 */
	memset(m + at + 1, 'b', 5);
	assert_true(dns_query(m, at + 7 + 4, &out));
	m[at] = 6;
	memset(m + at + 1, 'b', 6);
	assert_false(dns_query(m, at + 8 + 4, &out));
}

static void test_fields(void **state)
{
	struct dns_message a, b;

	(void)state;
	assert_true(dns_query(TEXT(QUERY QUESTION), &a));
	assert_int_equal(a.id, 0x1234);
	assert_int_equal(a.bytes, 512);
	assert_int_equal(a.bytes_at, 0);
	assert_true(dns_answer(TEXT(ANSWER("\1") "\3wWw\7EXAMPLE\0\0\1\0\1" A_RECORD), &b));
	assert_true(a.question == b.question);
	assert_true(dns_query(TEXT(QUERY NAME "\0\x1c\0\1"), &b));
	assert_true(a.question != b.question);
	assert_true(dns_query(TEXT(QUERY "\3wwv\7example\0\0\1\0\1"), &b));
	assert_true(a.question != b.question);
	assert_true(dns_query(TEXT(QUERY_EDNS QUESTION OPT("\4\xd0")), &b));
	assert_true(a.question == b.question);
	assert_int_equal(b.bytes, 1232);
	assert_int_equal(b.bytes_at, 12 + 17 + 3);
	assert_true(dns_query(TEXT(QUERY_EDNS QUESTION OPT("\0\1")), &b));
	assert_int_equal(b.bytes, 512);
}

static struct dns_table table;

static void test_asked(void **state)
{
	struct dns_message m = {.id = 1, .question = 77, .bytes = 600}, other = m;

	(void)state;
	memset(&table, 0, sizeof(table));
	assert_false(dns_answered(&table, 5, 6, &m, 100, 1000));
	assert_true(dns_ask(&table, 5, 6, &m, 1000));
	assert_true(dns_ask(&table, 5, 6, &m, 1001)); /* again: one question still */
	other.id = 2;
	assert_false(dns_answered(&table, 5, 6, &other, 100, 1001));
	other.id = 1;
	other.question = 78;
	assert_false(dns_answered(&table, 5, 6, &other, 100, 1001));
	assert_false(dns_answered(&table, 4, 6, &m, 100, 1001));
	assert_false(dns_answered(&table, 5, 7, &m, 100, 1001));
	assert_false(dns_answered(&table, 5, 6, &m, 601, 1001));
	assert_true(dns_answered(&table, 5, 6, &m, 600, 1001));
	assert_false(dns_answered(&table, 5, 6, &m, 600, 1001)); /* one answer */
	assert_true(dns_ask(&table, 5, 6, &m, 1000));
	assert_false(dns_answered(&table, 5, 6, &m, 100, 1012)); /* too late */
}

static void test_too_many(void **state)
{
	struct dns_message m = {0};
	unsigned n = 0;

	(void)state;
	memset(&table, 0, sizeof(table));
	for (m.id = 0; m.id < 100; m.id++)
		n += dns_ask(&table, 5, 6, &m, 10);
	assert_int_equal(n, DNS_GUEST_ASKED_MAX);
	assert_true(dns_ask(&table, 6, 6, &m, 10)); /* another has its own */
	m.id = 3;
	assert_true(dns_answered(&table, 5, 6, &m, 0, 10));
	m.id = 200;
	assert_true(dns_ask(&table, 5, 6, &m, 10));
	for (uint32_t guest = 0; guest < 2000; guest++)
		n += dns_ask(&table, 1000 + guest, 6, &m, 10);
	assert_int_equal(n, DNS_ASKED_MAX - 1);
	assert_true(dns_ask(&table, 1, 6, &m, 30)); /* time has gone by */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queries),    cmocka_unit_test(test_answers),
		cmocka_unit_test(test_long_names), cmocka_unit_test(test_fields),
		cmocka_unit_test(test_asked),      cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
