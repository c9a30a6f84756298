/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: drivers/virtio_blk.c
// SRC: drivers/virtio_pci.c
// SRC: drivers/virtq.c
// SRC: drivers/blkctl.c
// SRC: drivers/blkcmd.c
// SRC: drivers/blkmem.c
// SRC: tests/unit/fakehv.c
// FLAGS: -include tests/unit/fakemmio.h
/* The virtio-blk driver against a device played by the test: start, data, a ring that is broken, a device that needs a reset or
 * does not come out of it, sizes it cannot have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/virtio_blk_fake.h"
#include "tests/unit/drive_tests.h"

static struct pci_dev pci = {.bdf = 0x20, .vendor = 0x1af4, .device = 0x1042};

static int fresh(void **state)
{
	(void)state;
	fresh_machine();
	fake_blk_plug();
	fake_capability = fake_cap;
	return 0;
}

static int done(void **state)
{
	(void)state;
	vd.deaf = true;
	pull_out();
	free(vd.medium);
	return 0;
}

static struct blkdev *start(void)
{
	disk_virtio.probe(&pci);
	assert_int_equal(fake_starting, 1);
	go(20 * MS);
	assert_int_equal(fake_starting, 0);
	assert_int_equal(fake_n_added, 1);
	return fake_added[0];
}

static void test_start(void **state)
{
	const struct blkdev *b = start();

	(void)state;
	assert_string_equal(b->name, "virtio@00:04.0");
	assert_string_equal(b->serial, "SN-7");
	assert_int_equal(b->bytes, FAKE_BLK_BYTES);
	assert_int_equal(b->discard_max, 1u << 20);
	assert_true(b->write_cache);
}

static void test_data(void **state)
{
	struct blkdev *b = start();

	(void)state;
	both_ways(b, vd.medium, 40, 1);
	assert_int_equal(vd.flushes, 20); /* after writes with FUA */
}

static void test_needs_reset(void **state)
{
	struct blkdev *b = start();

	(void)state;
	vd.hold = true;
	send_many(b, false);
	vd.status |= VIRTIO_NEEDS_RESET;
	go(2 * SECOND);
	assert_int_equal(b->stats.resets, 1);
	assert_int_equal(many[0].ended, 0);
	vd.hold = false;
	go(SECOND);
	ended(vd.medium, 0, MANY, BLK_OK);
	assert_int_equal(b->stats.resets, 1);
}

static void test_broken_ring(void **state)
{
	struct blkdev *b = start();

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		static const uint32_t lies[] = {FAKE_QUEUE - 1, FAKE_QUEUE, 0xfffffffe};

		vd.hold = true;
		fake_request_make(&many[0], BLK_WRITE, 0, 512, 512);
		blk_submit(b, &many[0].r);
		vd.lie = lies[i];
		vd.hold = false;
		go(20 * MS);
		assert_int_equal(many[0].status, BLK_OK); /* sent again */
		assert_int_equal(many[0].ended, 1);
		assert_int_equal(b->stats.resets, i + 1);
		fake_request_free(&many[0]);
	}
}

static void test_does_not_come_back(void **state)
{
	struct blkdev *b = start();

	(void)state;
	vd.hold = true;
	send_many(b, false);
	vd.deaf = true;
	vd.status |= VIRTIO_NEEDS_RESET;
	go(2 * SECOND);
	ended(vd.medium, 0, MANY, BLK_GONE);
	assert_true(b->gone);
	assert_false(fake_master);
}

static void refuses(const char *why)
{
	disk_virtio.probe(&pci);
	go(6 * SECOND);
	assert_int_equal(fake_starting, 0);
	assert_int_equal(fake_n_added, 0);
	assert_non_null(strstr(fake_log(), why));
	assert_false(fake_master);
}

static void test_unfit_blocks(void **state)
{
	(void)state;
	fake_set(AT_DEVICE + 20, 1024);
	refuses("have a size that is not supported");
}

static void test_legacy(void **state)
{
	(void)state;
	vd.features = BLK_FEATURES & ~VIRTIO_F_VERSION_1;
	refuses("refuses to work as a virtio 1.x device");
}

static void test_silent_at_start(void **state)
{
	(void)state;
	vd.hold = true;
	refuses("no answer to the first request");
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, done)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_start),
		T(test_data),
		T(test_needs_reset),
		T(test_broken_ring),
		T(test_does_not_come_back),
		T(test_unfit_blocks),
		T(test_legacy),
		T(test_silent_at_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
