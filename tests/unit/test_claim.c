/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/vm/claim.c
/* The claim table against a plain list, with overlaps, borders, a full table, and a reader beside a writer. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hv/vm/vm.h"

static struct claim_table t;

static int add(uint64_t base, uint64_t end, unsigned kind, unsigned bit)
{
	return claim_add(&t, base, end, (uint16_t)(kind << 8 | bit));
}

static uint32_t hint;

static int find(uint64_t addr, unsigned width)
{
	return claim_find(&t, addr, width, &hint);
}

static int fresh(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	return 0;
}

static void test_borders(void **state)
{
	(void)state;
	assert_int_equal(find(0, 1), -1);
	assert_int_equal(add(0xcf8, 0xd00, HV_CLAIM_PARK, 0), 0);
	assert_int_equal(add(0xd01, 0xd05, HV_CLAIM_DOORBELL, 5), 0);
	assert_int_equal(find(0xcf7, 1), -1);
	assert_int_equal(find(0xcf7, 2), -1);
	assert_int_equal(find(0xcf8, 4), HV_CLAIM_PARK << 8);
	assert_int_equal(find(0xcff, 1), HV_CLAIM_PARK << 8);
	assert_int_equal(find(0xcfe, 4), -1);
	assert_int_equal(find(0xd00, 1), -1);
	assert_int_equal(find(0xd01, 4), HV_CLAIM_DOORBELL << 8 | 5);
}

static void test_overlap(void **state)
{
	(void)state;
	assert_int_equal(add(100, 200, 0, 0), 0);
	assert_int_equal(add(150, 160, 0, 0), -HVE_EXIST);
	assert_int_equal(add(50, 101, 0, 0), -HVE_EXIST);
	assert_int_equal(add(199, 300, 0, 0), -HVE_EXIST);
	assert_int_equal(add(50, 300, 0, 0), -HVE_EXIST);
	assert_int_equal(add(50, 100, 0, 0), 0);
	assert_int_equal(add(200, 300, 0, 0), 0);
	assert_int_equal(claim_remove(&t, 100, 150), -HVE_NOENT);
	assert_int_equal(claim_remove(&t, 101, 200), -HVE_NOENT);
	assert_int_equal(claim_remove(&t, 10, 20), -HVE_NOENT);
	assert_int_equal(claim_remove(&t, 100, 200), 0);
	assert_int_equal(find(150, 1), -1);
	assert_int_equal(t.n, 2);
}

static void test_full(void **state)
{
	(void)state;
	for (unsigned i = 0; i < HV_CLAIMS_MAX; i++)
		assert_int_equal(add(1000 - i, 1001 - i, 0, i), 0);
	assert_int_equal(add(0, 1, 0, 0), -HVE_LIMIT);
	for (unsigned i = 0; i < HV_CLAIMS_MAX; i++)
		assert_int_equal(find(1000 - i, 1), i);
	assert_int_equal(find(1001, 1), -1);
	assert_int_equal(claim_remove(&t, 1000, 1001), 0);
	assert_int_equal(add(0, 1, 0, 7), 0);
	assert_int_equal(find(0, 1), 7);
}

#define PORTS 256u

static void test_random(void **state)
{
	uint8_t owner[PORTS] = {
		0}; /* 0: nobody, else length of the claim that begins there or before */
	unsigned start[PORTS];

	(void)state;
	srand(1);
	for (unsigned round = 0; round < 20000; round++) {
		unsigned base = (unsigned)rand() % PORTS, len = 1 + (unsigned)rand() % 8;
		bool is_free = base + len <= PORTS;

		for (unsigned p = base; p < base + len && p < PORTS; p++)
			is_free &= !owner[p];
		if (rand() % 2 && base + len <= PORTS) {
			int want = !is_free ? -HVE_EXIST : t.n == HV_CLAIMS_MAX ? -HVE_LIMIT : 0;

			assert_int_equal(add(base, base + len, 0, len), want);
			for (unsigned p = base; !want && p < base + len; p++) {
				owner[p] = (uint8_t)len;
				start[p] = base;
			}
		} else if (owner[base] && start[base] == base) {
			unsigned l = owner[base];

			assert_int_equal(claim_remove(&t, base, base + l), 0);
			memset(owner + base, 0, l);
		}
		base = (unsigned)rand() % PORTS;
		assert_int_equal(find(base, 1), owner[base] ? owner[base] : -1);
	}
}

static volatile bool stop;

static void *writer(void *unused)
{
	(void)unused;
	while (!stop) {
		if (claim_remove(&t, 10, 20) || add(10, 20, 0, 1))
			abort();
	}
	return NULL;
}

/* A claim that is always there is always found, however the table moves around it. */
static void test_beside_writer(void **state)
{
	pthread_t w;

	(void)state;
	assert_int_equal(add(10, 20, 0, 1), 0);
	assert_int_equal(add(30, 40, 0, 2), 0);
	assert_int_equal(pthread_create(&w, NULL, writer, NULL), 0);
	for (unsigned i = 0; i < 300000; i++)
		assert_int_equal(find(35, 4), 2);
	stop = true;
	pthread_join(w, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_borders, fresh),
		cmocka_unit_test_setup(test_overlap, fresh),
		cmocka_unit_test_setup(test_full, fresh),
		cmocka_unit_test_setup(test_random, fresh),
		cmocka_unit_test_setup(test_beside_writer, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
