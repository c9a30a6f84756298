/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/storage/stepper.c
// SRC: tests/unit/fakehv.c
/* Steps on disks: order, data, failures, more steppers than buffers, a disk that is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/blk_fakes.h"
#include "tests/unit/fakehv.h"
#include "ctrl-kernel/storage/stepper.h"

#define DISK_BYTES (1u << 20)
#define WORKS 7u

/* Reads a sector of disk 0, writes it to disk 1, flushes that. */
struct work {
	unsigned at;
	unsigned missing; /* its steps are for this disk instead */
	bool failed, ended;
	uint8_t buf[512];
	uint64_t offset;
};

static struct ram_disk disks[2];
static struct blkdev *list[2];

static void next(void *ctx, struct step *out)
{
	struct work *w = ctx;
	static const enum step_op ops[] = {STEP_READ, STEP_WRITE, STEP_FLUSH, STEP_END};

	*out = (struct step){.op = w->failed ? STEP_END : ops[w->at],
			     .disk = w->missing ? w->missing : w->at > 0,
			     .offset = w->offset,
			     .bytes = w->at < 2 ? 512 : 0,
			     .buf = w->buf};
}

static void told(void *ctx, bool ok)
{
	struct work *w = ctx;

	w->at++;
	w->failed |= !ok;
}

static void end(struct stepper *s)
{
	struct work *w = s->work;

	assert_false(w->ended);
	w->ended = true;
}

static const struct stepper_ops ops = {next, told};

static int fresh(void **state)
{
	(void)state;
	fake_reset(1000);
	for (unsigned i = 0; i < 2; i++) {
		ram_disk_init(&disks[i], DISK_BYTES, 512);
		list[i] = &disks[i].dev;
	}
	for (unsigned i = 0; i < DISK_BYTES; i++)
		disks[0].data[i] = (uint8_t)(i / 512 + i);
	return 0;
}

static int done(void **state)
{
	(void)state;
	free(disks[0].data);
	free(disks[1].data);
	return 0;
}

static void begin(struct stepper *s, struct work *w)
{
	*s = (struct stepper){.ops = &ops, .work = w, .disks = list, .n_disks = 2, .end = end};
	stepper_run(s);
	assert_false(w->ended);
}

static void all(void)
{
	do
		fake_loop();
	while (ram_disk_end(&disks[0]) || ram_disk_end(&disks[1]));
}

static void test_no_memory(void **state)
{
	struct work w = {0};
	struct stepper s;

	(void)state;
	dma_left = 0; /* runs first: there is no buffer yet */
	begin(&s, &w);
	all();
	assert_true(w.ended && w.failed);
	dma_left = 1000;
}

static void test_one(void **state)
{
	struct work w = {.offset = 512 * 7};
	struct stepper s;

	(void)state;
	begin(&s, &w);
	all();
	assert_true(w.ended && !w.failed);
	assert_int_equal(w.at, 3);
	assert_int_equal(disks[1].flushes, 1);
	assert_memory_equal(disks[1].data + w.offset, disks[0].data + w.offset, 512);
	assert_int_equal(disks[1].data[w.offset + 512], 0);
}

static void test_failures(void **state)
{
	(void)state;
	for (unsigned fail = 0; fail < 3; fail++) {
		struct work w = {0};
		struct stepper s;

		begin(&s, &w);
		for (unsigned n = 0; !w.ended; n++) {
			fake_loop();
			disks[fail > 0].next_status = n == fail ? BLK_IO_ERROR : BLK_OK;
			if (!ram_disk_end(&disks[0]))
				ram_disk_end(&disks[1]);
		}
		assert_true(w.failed);
		assert_int_equal(w.at, fail + 1);
	}
}

static void test_missing(void **state)
{
	struct work w = {.missing = 2}, v = {0};
	struct stepper s, t;

	(void)state;
	begin(&s, &w);
	all();
	assert_true(w.ended && w.failed);
	list[0] = NULL;
	begin(&t, &v);
	all();
	assert_true(v.ended && v.failed);
}

/* Those without a buffer go on when others end; dma_alloc() is not asked again and again. */
static void test_many(void **state)
{
	static struct work w[WORKS];
	static struct stepper s[WORKS];
	unsigned left = dma_left;

	(void)state;
	for (unsigned i = 0; i < WORKS; i++) {
		w[i] = (struct work){.offset = 512 * i};
		begin(&s[i], &w[i]);
	}
	all();
	for (unsigned i = 0; i < WORKS; i++)
		assert_true(w[i].ended && !w[i].failed);
	assert_memory_equal(disks[1].data, disks[0].data, 512 * WORKS);
	assert_in_range(left - dma_left, 0, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_memory, fresh, done),
		cmocka_unit_test_setup_teardown(test_one, fresh, done),
		cmocka_unit_test_setup_teardown(test_failures, fresh, done),
		cmocka_unit_test_setup_teardown(test_missing, fresh, done),
		cmocka_unit_test_setup_teardown(test_many, fresh, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
