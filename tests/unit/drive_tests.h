/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of all drivers of drives do: time that passes with the device working, data in both directions, many requests
 * at a time. The device's header, which has fake_step(), is included before.
 */
#ifndef TESTS_DRIVE_TESTS_H
#define TESTS_DRIVE_TESTS_H

#include "tests/unit/blkctl_fakes.h"
#include "tests/unit/fakehv.h"

#define MS 1000000ull
#define SECOND (1000 * MS)
#define MANY 100u
#define MANY_BYTES 8192u

static struct fake_request many[MANY];

static void go(uint64_t ns)
{
	for (uint64_t at = 0; at < ns; at += 2 * MS) {
		if (fake_step() && fake_irq)
			fake_irq(fake_irq_ctx);
		fake_advance(2 * MS);
	}
}

static void fresh_machine(void)
{
	fake_reset(1000);
	fake_vendor = 0x1af4;
	fake_n_added = fake_starting = 0;
	fake_irq = NULL;
}

/* Ends what the test has begun: its timers must not run in the next one. The device was made deaf. */
static void pull_out(void)
{
	fake_vendor = 0xffff;
	for (unsigned i = 0; i < 60; i++)
		fake_advance(SECOND);
	fake_log_clear();
}

static void wait_for(struct fake_request *q, struct blkdev *b)
{
	blk_submit(b, &q->r);
	assert_int_equal(q->ended, 0);
	for (unsigned k = 0; k < 2000 && !q->ended; k++)
		go(2 * MS);
	assert_int_equal(q->ended, 1);
}

/* Places and sizes by chance, memory in pieces of multiples of unit. */
static void both_ways(struct blkdev *b, const uint8_t *medium, unsigned rounds, uint32_t unit)
{
	for (unsigned i = 0; i < rounds; i++) {
		uint32_t sector = b->sector_bytes,
			 n = (1 + fake_random((1u << 20) / sector)) * sector;
		uint64_t at = fake_random((uint32_t)(b->bytes - n) / sector + 1) * (uint64_t)sector;
		struct fake_request w, r;

		fake_request_make(&w, BLK_WRITE, at, n, unit);
		fake_request_make(&r, BLK_READ, at, n, unit);
		w.r.fua = i % 2;
		fake_request_fill(&w, i);
		fake_request_fill(&r, 99);
		wait_for(&w, b);
		assert_int_equal(w.status, BLK_OK);
		for (uint32_t k = 0; k < n; k++)
			assert_int_equal(medium[at + k], fake_byte(at + k, i));
		wait_for(&r, b);
		assert_int_equal(r.status, BLK_OK);
		assert_true(fake_request_holds(&r, i));
		fake_request_free(&w);
		fake_request_free(&r);
	}
	assert_int_equal(b->stats.errors, 0);
}

/* Writes, one behind the other; each tenth a flush instead if those are wanted. */
static void send_many(struct blkdev *b, bool flushes)
{
	for (unsigned i = 0; i < MANY; i++) {
		bool flush = flushes && i % 10 == 9;

		fake_request_make(&many[i], flush ? BLK_FLUSH : BLK_WRITE,
				  flush ? 0 : i * MANY_BYTES, flush ? 0 : MANY_BYTES, 4096);
		fake_request_fill(&many[i], i);
		blk_submit(b, &many[i].r);
	}
}

/* So have those from first to end, and they are on the medium if it was well. */
static void ended(const uint8_t *medium, unsigned first, unsigned end, enum blk_status status)
{
	for (unsigned i = first; i < end; i++) {
		assert_int_equal(many[i].ended, 1);
		assert_int_equal(many[i].status, status);
		for (unsigned k = 0; status == BLK_OK && k < many[i].r.bytes; k++)
			assert_int_equal(medium[i * MANY_BYTES + k],
					 fake_byte(i * MANY_BYTES + k, i));
		fake_request_free(&many[i]);
	}
}

#endif
