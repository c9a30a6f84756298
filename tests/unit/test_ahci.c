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
#include "tests/unit/fakehv.h"

#define MS 1000000ull
#define SECOND (1000 * MS)

static struct pci_dev pci = {.bdf = 0xfa,
			     .vendor = 0x1af4,
			     .class_code = 0x010601,
			     .bars[5] = {.base = 0x1000, .size = 0x1000}};

static void go(uint64_t ns)
{
	for (uint64_t at = 0; at < ns; at += 2 * MS) {
		if (fake_step() && fake_irq)
			fake_irq(fake_irq_ctx);
		fake_advance(2 * MS);
	}
}

static int fresh(void **state)
{
	(void)state;
	fake_reset(1000);
	fake_hba_plug();
	fake_vendor = 0x1af4;
	fake_n_added = fake_starting = 0;
	fake_irq = NULL;
	return 0;
}

static int done(void **state)
{
	(void)state;
	fake_vendor = 0xffff;
	hba.deaf = true;
	for (unsigned i = 0; i < 60; i++)
		fake_advance(SECOND);
	free(hba.medium);
	fake_log_clear();
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

static void both_ways(struct blkdev *b, uint32_t unit)
{
	for (unsigned i = 0; i < 40; i++) {
		uint32_t sector = b->sector_bytes,
			 n = (1 + fake_random((1u << 20) / sector)) * sector;
		uint64_t at = fake_random((FAKE_DISK_BYTES - n) / sector + 1) * (uint64_t)sector;
		struct fake_request w, r;

		fake_request_make(&w, BLK_WRITE, at, n, unit);
		fake_request_make(&r, BLK_READ, at, n, unit);
		w.r.fua = i % 2;
		fake_request_fill(&w, i);
		fake_request_fill(&r, 99);
		blk_submit(b, &w.r);
		for (unsigned k = 0; k < 2000 && !w.ended; k++)
			go(2 * MS);
		assert_int_equal(w.ended, 1);
		assert_int_equal(w.status, BLK_OK);
		for (uint32_t k = 0; k < n; k++)
			assert_int_equal(hba.medium[at + k], fake_byte(at + k, i));
		blk_submit(b, &r.r);
		for (unsigned k = 0; k < 2000 && !r.ended; k++)
			go(2 * MS);
		assert_int_equal(r.status, BLK_OK);
		assert_true(fake_request_holds(&r, i));
		fake_request_free(&w);
		fake_request_free(&r);
	}
	assert_int_equal(b->stats.errors, 0);
	assert_int_equal(hba.alone_broken, 0);
}

static void test_queued(void **state)
{
	(void)state;
	both_ways(start(), 1);
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
	both_ways(b, 2);
	assert_true(hba.fua == 0 && hba.flushes == 20); /* no FUA: a flush follows */
}

static void test_unqueued(void **state)
{
	(void)state;
	fake_identity(512, false, true);
	both_ways(start(), 2);
	assert_true(hba.queued == 0 && hba.fua >= 20);
}

#define MANY 100u
static struct fake_request many[MANY];

static void send_many(struct blkdev *b, bool flushes)
{
	for (unsigned i = 0; i < MANY; i++) {
		bool flush = flushes && i % 10 == 9;

		fake_request_make(&many[i], flush ? BLK_FLUSH : BLK_WRITE, flush ? 0 : i * 8192,
				  flush ? 0 : 8192, 4096);
		fake_request_fill(&many[i], i);
		blk_submit(b, &many[i].r);
	}
}

static void all_ended(enum blk_status status, unsigned but)
{
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(many[i].ended, 1);
		assert_int_equal(many[i].status, i == but ? BLK_IO_ERROR : status);
		for (unsigned k = 0; many[i].status == BLK_OK && k < many[i].r.bytes; k++)
			assert_int_equal(hba.medium[i * 8192 + k], fake_byte(i * 8192 + k, i));
		fake_request_free(&many[i]);
	}
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
	all_ended(BLK_OK, MANY);
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
		all_ended(BLK_OK, bad);
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
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(many[i].ended, 1);
		assert_int_equal(many[i].status, i < 32 ? BLK_IO_ERROR : BLK_OK);
		fake_request_free(&many[i]);
	}
}

static void test_link_goes_down(void **state)
{
	struct blkdev *b = start();

	(void)state;
	hba.deaf = true;
	send_many(b, false);
	*hba_port(0, AHCI_PX_SSTS) = 0;
	go(5 * SECOND);
	all_ended(BLK_GONE, MANY);
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
	all_ended(BLK_OK, MANY);
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
	all_ended(BLK_GONE, MANY);
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
	all_ended(BLK_GONE, MANY);
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
