/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: drivers/ahci.c
// SRC: drivers/ahci_port.c
// SRC: drivers/ahci_cmd.c
// SRC: drivers/blkctl.c
// SRC: drivers/blkcmd.c
// SRC: drivers/blkmem.c
// SRC: tests/unit/fakehv.c
// FLAGS: -include tests/unit/fakemmio.h
/*
 * The AHCI driver against a controller played by the test: start, data with and without NCQ, what must be sent alone, bad
 * sectors among many, drives that are silent, a link that goes down, an engine that does not stop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/ahci_fake.h"
#include "tests/unit/drive_tests.h"

static struct pci_dev pci = {.bdf = 0xfa,
			     .vendor = 0x1af4,
			     .class_code = 0x010601,
			     .bars[5] = {.base = 0x1000, .size = 0x1000}};

static int fresh(void **state)
{
	(void)state;
	fresh_machine();
	fake_hba_plug();
	return 0;
}

static int done(void **state)
{
	(void)state;
	hba.deaf = true;
	pull_out();
	free(hba.medium);
	return 0;
}

static struct blkdev *start(void)
{
	disk_ahci.probe(&pci);
	go(300 * MS);
	assert_int_equal(fake_starting, 0);
	assert_int_equal(fake_n_added, 1);
	return fake_added[0];
}

static void test_start(void **state)
{
	const struct blkdev *b = start();

	(void)state;
	assert_string_equal(b->name, "ahci@00:1f.2/0");
	assert_string_equal(b->model, "A disk");
	assert_string_equal(b->serial, "W-123");
	assert_int_equal(b->bytes, FAKE_DISK_BYTES);
	assert_int_equal(b->sector_bytes, 512);
	assert_true(b->write_cache && b->discard_max);
	assert_non_null(strstr(fake_log(), "ahci@00:1f.2/1: an ATAPI drive"));
}

static void test_nothing_there(void **state)
{
	(void)state;
	hba.cd_only = true;
	fake_hba_reset();
	*hba_port(1, AHCI_PX_SSTS) = 0;
	disk_ahci.probe(&pci);
	hba.cd_only = true;
	go(300 * MS);
	assert_int_equal(fake_starting, 0);
	assert_int_equal(fake_n_added, 0);
}

static void data(struct blkdev *b, uint32_t unit)
{
	both_ways(b, hba.medium, 40, unit);
	assert_int_equal(hba.alone_broken, 0);
}

static void test_queued(void **state)
{
	(void)state;
	data(start(), 1);
	assert_true(hba.queued > 80 && hba.fua >= 20 && hba.flushes == 0);
}

static void test_4096(void **state)
{
	struct blkdev *b;

	(void)state;
	fake_identity(4096, true, false);
	b = start();
	assert_int_equal(b->sector_bytes, 4096);
	assert_int_equal(b->bytes, FAKE_DISK_BYTES);
	data(b, 2);
	assert_true(hba.fua == 0 && hba.flushes == 20); /* no FUA: a flush follows */
}

static void test_unqueued(void **state)
{
	(void)state;
	fake_identity(512, false, true);
	data(start(), 2);
	assert_true(hba.queued == 0 && hba.fua >= 20);
}

static void test_many(void **state)
{
	struct blkdev *b = start();

	(void)state;
	hba.hold = true;
	send_many(b, true);
	go(4 * MS);
	hba.hold = false;
	go(200 * MS);
	ended(hba.medium, 0, MANY, BLK_OK);
	assert_int_equal(hba.flushes, 10);
	assert_int_equal(hba.alone_broken, 0);
	assert_int_equal(b->stats.resets, 0);
}

static void bad_sector(void)
{
	struct blkdev *b = start();

	for (unsigned bad = 0; bad < MANY; bad += 33) {
		hba.bad = bad * 8192 + 5000;
		send_many(b, false);
		go(SECOND);
		ended(hba.medium, 0, bad, BLK_OK);
		ended(hba.medium, bad, bad + 1, BLK_IO_ERROR);
		ended(hba.medium, bad + 1, MANY, BLK_OK);
	}
	assert_int_equal(b->stats.errors, 4);
	assert_int_equal(hba.resets, b->stats.resets);
}

static void test_bad_sector(void **state)
{
	(void)state;
	bad_sector();
}

static void test_bad_sector_unqueued(void **state)
{
	(void)state;
	fake_identity(512, false, false);
	bad_sector();
}

static void test_trim(void **state)
{
	struct blkdev *b = start();
	struct fake_request q = {.r = {.op = BLK_DISCARD,
				       .offset = 512,
				       .bytes = 3u << 20,
				       .done = fake_done,
				       .ctx = &q}};

	(void)state;
	memset(hba.medium, 7, FAKE_DISK_BYTES);
	blk_submit(b, &q.r);
	go(10 * MS);
	assert_int_equal(q.status, BLK_OK);
	assert_int_equal(q.ended, 1);
	assert_int_equal(hba.trims, 1);
	assert_int_equal(hba.medium[511], 7);
	assert_int_equal(hba.medium[512], 0);
	assert_int_equal(hba.medium[512 + (3u << 20) - 1], 0);
	assert_int_equal(hba.medium[512 + (3u << 20)], 7);
}

static void test_silent(void **state)
{
	struct blkdev *b = start();

	(void)state;
	hba.hold = true;
	send_many(b, false);
	go(32 * SECOND);
	assert_int_equal(b->stats.timeouts, 32);
	assert_int_equal(many[0].status, BLK_IO_ERROR);
	assert_int_equal(many[0].ended, 1);
	assert_int_equal(many[40].ended, 0);
	hba.hold = false;
	go(SECOND);
	ended(hba.medium, 0, 32, BLK_IO_ERROR);
	ended(hba.medium, 32, MANY, BLK_OK);
}

static void test_link_goes_down(void **state)
{
	struct blkdev *b = start();

	(void)state;
	hba.deaf = true;
	send_many(b, false);
	*hba_port(0, AHCI_PX_SSTS) = 0;
	go(5 * SECOND);
	ended(hba.medium, 0, MANY, BLK_GONE);
	assert_true(b->gone);
}

static void test_link_comes_back(void **state)
{
	struct blkdev *b = start();

	(void)state;
	hba.hold = true;
	send_many(b, false);
	*hba_port(0, AHCI_PX_SSTS) = 0;
	go(2 * SECOND);
	hba.hold = false;
	go(2 * SECOND);
	ended(hba.medium, 0, MANY, BLK_OK);
	assert_int_equal(b->stats.resets, 1);
}

static void test_engine_does_not_stop(void **state)
{
	struct blkdev *b = start();

	(void)state;
	hba.hold = true;
	send_many(b, false);
	hba.keeps_running = true;
	*hba_port(0, AHCI_PX_SSTS) = 0;
	go(2 * SECOND);
	ended(hba.medium, 0, MANY, BLK_GONE);
	assert_false(fake_master);
}

static void test_pulled_out(void **state)
{
	struct blkdev *b = start();

	(void)state;
	hba.hold = true;
	send_many(b, false);
	fake_vendor = 0xffff;
	memset(fake_bar, 0xff, sizeof(fake_bar));
	go(2 * SECOND);
	ended(hba.medium, 0, MANY, BLK_GONE);
	assert_true(b->gone);
}

static bool identity_is_good(void)
{
	struct ata_drive drive = {0};
	struct blkdev b = {0};
	const char *why = NULL;

	return ata_identify(hba.id, &drive, &b, &why);
}

static void test_identity(void **state)
{
	struct ata_drive drive = {0};
	struct blkdev b = {0};
	const char *why;

	(void)state;
	assert_true(identity_is_good());
	id_word(83, 1u << 14);
	assert_false(identity_is_good()); /* 28-bit addresses only */
	fake_identity(512, true, true);
	id_word(103, 1);
	assert_false(identity_is_good()); /* more than 48 bits */
	fake_identity(512, true, true);
	id_word(106, 1u << 14 | 1u << 12);
	id_word(117, 1024);
	assert_false(identity_is_good()); /* 2 KiB */
	id_word(106, 1u << 14 | 1u << 13 | 3);
	assert_true(ata_identify(hba.id, &drive, &b, &why));
	assert_int_equal(b.sector_bytes, 512);
	assert_int_equal(b.physical_bytes, 4096);
	id_word(76, 0xffff);
	assert_true(ata_identify(hba.id, &drive, &b, &why));
	assert_false(drive.queued);
	assert_int_equal(drive.depth, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, done)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_start),
		T(test_nothing_there),
		T(test_queued),
		T(test_4096),
		T(test_unqueued),
		T(test_many),
		T(test_bad_sector),
		T(test_bad_sector_unqueued),
		T(test_trim),
		T(test_silent),
		T(test_link_goes_down),
		T(test_link_comes_back),
		T(test_engine_does_not_stop),
		T(test_pulled_out),
		T(test_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
