/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: drivers/virtq.c
/* The virtqueue against a device played by the test: order, wrap of the 16-bit indices, and a device that lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/virtq.h"

#define SIZE 8u

static struct virtq q;
static void *block;
static uint16_t device_seen; /* avail entries the device has taken */

static int fresh(void **state)
{
	(void)state;
	free(block);
	block = calloc(1, virtq_bytes(SIZE)); /* exact: ASan sees a step outside */
	virtq_init(&q, SIZE, block);
	device_seen = 0;
	return 0;
}

static int done(void **state)
{
	(void)state;
	free(block);
	block = NULL;
	return 0;
}

static void device_returns(uint32_t id, uint32_t len)
{
	q.used->ring[q.used->idx % SIZE].id = id;
	q.used->ring[q.used->idx % SIZE].len = len;
	q.used->idx++;
}

static uint16_t device_takes(void)
{
	assert_int_not_equal(device_seen, q.avail->idx);
	return q.avail->ring[device_seen++ % SIZE];
}

static void test_layout(void **state)
{
	(void)state;
	assert_int_equal(virtq_avail_offset(256), 4096);
	assert_int_equal(virtq_used_offset(256), 4096 + 4 + 512 + 2 + 2);
	assert_int_equal(virtq_used_offset(SIZE) % 4, 0);
	assert_int_equal(virtq_bytes(256), virtq_used_offset(256) + 4 + 2048 + 2);
}

static void test_full_and_back(void **state)
{
	uint32_t len;

	(void)state;
	for (unsigned i = 0; i < SIZE; i++)
		assert_int_equal(virtq_post(&q, 0x1000 * i, 100 + i, true), i);
	assert_int_equal(virtq_post(&q, 0, 1, true), -1);
	assert_int_equal(q.avail->idx, SIZE);
	assert_int_equal(q.desc[3].addr, 0x3000);
	assert_int_equal(q.desc[3].len, 103);
	assert_int_equal(q.desc[3].flags, VRING_WRITE);
	assert_int_equal(virtq_take(&q, &len), -1);
	device_returns(5, 60);
	device_returns(2, 102);
	assert_true(virtq_pending(&q));
	assert_int_equal(virtq_take(&q, &len), 5);
	assert_int_equal(len, 60);
	assert_int_equal(virtq_take(&q, &len), 2);
	assert_int_equal(virtq_take(&q, &len), -1);
	assert_int_equal(q.n_free, 2);
	assert_int_equal(virtq_post(&q, 0, 1, false), 2);
	assert_int_equal(q.desc[2].flags, 0);
	assert_int_equal(virtq_post(&q, 0, 1, false), 5);
	assert_int_equal(virtq_post(&q, 0, 1, false), -1);
}

static void test_wraps(void **state)
{
	uint32_t len;

	(void)state;
	for (unsigned i = 0; i < 70000; i++) {
		int posted = virtq_post(&q, i, 64, true);

		assert_true(posted >= 0);
		assert_int_equal(device_takes(), posted);
		device_returns((uint32_t)posted, 64);
		assert_int_equal(virtq_take(&q, &len), posted);
	}
	assert_int_equal(q.n_free, SIZE);
}

static void breaks(uint32_t id, uint32_t len)
{
	uint32_t out = 77;

	device_returns(id, len);
	assert_int_equal(virtq_take(&q, &out), -1);
	assert_int_equal(out, 77);
	assert_true(q.broken);
	assert_false(virtq_pending(&q));
	assert_int_equal(virtq_post(&q, 0, 1, true), -1);
}

static void test_lies(void **state)
{
	uint32_t len;

	fresh(state);
	breaks(0, 0); /* nothing was posted */
	fresh(state);
	virtq_post(&q, 0, 64, true);
	breaks(SIZE, 10);
	fresh(state);
	virtq_post(&q, 0, 64, true);
	breaks(UINT32_MAX, 10);
	fresh(state);
	virtq_post(&q, 0, 64, true);
	breaks(0, 65); /* longer than the buffer */
	fresh(state);
	virtq_post(&q, 0, 64, true);
	virtq_post(&q, 0, 64, true);
	device_returns(0, 1);
	assert_int_equal(virtq_take(&q, &len), 0);
	breaks(0, 1); /* twice */
}

/* A chain of out, in, in: as the device sees it, and what it may say. */
static void test_chains(void **state)
{
	const struct virtq_part parts[] = {
		{0x1000, 16, false}, {0x2000, 512, true}, {0x3000, 1, true}};
	uint32_t len;
	int a, b;

	(void)state;
	a = virtq_post_chain(&q, parts, 3);
	b = virtq_post_chain(&q, parts, 3);
	assert_true(a >= 0 && b >= 0 && a != b);
	assert_int_equal(q.n_free, SIZE - 6);
	assert_int_equal(virtq_post_chain(&q, parts, 3), -1); /* two are left */
	assert_int_equal(virtq_post_chain(&q, &(struct virtq_part){0x1000, 0, true}, 1), -1);
	for (unsigned i = 0, at = (unsigned)a; i < 3; at = q.desc[at].next, i++) {
		assert_int_equal(q.desc[at].addr, parts[i].hpa);
		assert_int_equal(q.desc[at].len, parts[i].len);
		assert_int_equal(q.desc[at].flags, (parts[i].device_writes ? VRING_WRITE : 0) |
							   (i < 2 ? VRING_NEXT : 0));
		q.desc[at].addr = 0; /* what the device does to them does not matter */
	}
	q.desc[a].next = (uint16_t)b;
	device_returns((uint32_t)a, 513);
	assert_int_equal(virtq_take(&q, &len), a);
	assert_int_equal(q.n_free, SIZE - 3);
	for (unsigned i = 0; i < 1000; i++) { /* in an order that mixes the free list */
		a = virtq_post_chain(&q, parts + 1, 2);
		assert_true(a >= 0);
		device_returns((uint32_t)b, 1);
		assert_int_equal(virtq_take(&q, &len), b);
		b = virtq_post_chain(&q, parts, 3);
		assert_true(b >= 0);
		device_returns((uint32_t)a, 0);
		assert_int_equal(virtq_take(&q, &len), a);
		assert_int_equal(q.n_free, SIZE - 3);
	}
	breaks((uint32_t)b, 514);
}

/* Inside of a chain there is no head. */
static void test_chain_lies(void **state)
{
	const struct virtq_part parts[] = {{0x1000, 16, false}, {0x2000, 512, true}};
	int a = virtq_post_chain(&q, parts, 2);

	(void)state;
	breaks(q.desc[a].next, 1);
}

static void test_flags(void **state)
{
	(void)state;
	assert_true(virtq_wants_kick(&q));
	q.used->flags = VRING_USED_NO_NOTIFY;
	assert_false(virtq_wants_kick(&q));
	virtq_interrupts(&q, false);
	assert_int_equal(q.avail->flags, VRING_AVAIL_NO_INTERRUPT);
	virtq_interrupts(&q, true);
	assert_int_equal(q.avail->flags, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_layout, fresh, done),
		cmocka_unit_test_setup_teardown(test_full_and_back, fresh, done),
		cmocka_unit_test_setup_teardown(test_wraps, fresh, done),
		cmocka_unit_test_setup_teardown(test_lies, fresh, done),
		cmocka_unit_test_setup_teardown(test_chains, fresh, done),
		cmocka_unit_test_setup_teardown(test_chain_lies, fresh, done),
		cmocka_unit_test_setup_teardown(test_flags, fresh, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
