/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/vmm/pace.c
/* When doorbells are given time: it is tried now and then, goes on while it pays, and ends soon when it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ctrl-kernel/vmm/pace.h"

static unsigned patient_turns(struct pace *p, unsigned turns, unsigned requests)
{
	unsigned n = 0;

	for (unsigned i = 0; i < turns; i++)
		n += pace_next(p, requests) != 0;
	return n;
}

static void test_one_at_a_time(void **state)
{
	struct pace p = {0};

	(void)state;
	assert_int_equal(patient_turns(&p, PACE_TRY - 1, 1), 0);
	assert_int_equal(pace_next(&p, 1), PACE_PATIENCE_NS);
	assert_int_equal(pace_next(&p, 1), 0); /* it brought nothing */
	assert_in_range(patient_turns(&p, 100 * (PACE_TRY + 1), 1), 99, 101);
}

static void test_many(void **state)
{
	struct pace p = {0};

	(void)state;
	patient_turns(&p, PACE_TRY, 1);
	assert_int_equal(patient_turns(&p, 1000, 2), 1000);
	assert_int_equal(patient_turns(&p, PACE_VAIN, 1), PACE_VAIN - 1);
	assert_int_equal(pace_next(&p, 16), 0); /* until the next trial */
}

static void test_now_and_then(void **state)
{
	struct pace p = {0};

	(void)state;
	patient_turns(&p, PACE_TRY, 1);
	assert_int_equal(pace_next(&p, 5), PACE_PATIENCE_NS);
	for (unsigned i = 0; i < 100; i++) { /* one in vain is none in a row */
		assert_int_equal(pace_next(&p, 0), PACE_PATIENCE_NS);
		assert_int_equal(pace_next(&p, 2), PACE_PATIENCE_NS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_at_a_time),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_now_and_then),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
