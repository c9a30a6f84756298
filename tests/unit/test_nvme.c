/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: drivers/nvme.c
// SRC: drivers/nvme_start.c
// SRC: drivers/nvme_queue.c
// SRC: drivers/blkctl.c
// SRC: drivers/blkcmd.c
// SRC: drivers/blkmem.c
// SRC: tests/unit/fakehv.c
/*
 * The NVMe driver against a controller played by the test: start, namespaces, data through PRPs, errors, a controller that
 * dies, does not answer, lies, or is pulled out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/nvme_fake.h"
#include "tests/unit/drive_tests.h"

static struct pci_dev pci = {.bdf = 0x28, .vendor = 0x1af4, .class_code = 0x010802};

static int fresh(void **state)
{
	(void)state;
	fresh_machine();
	fake_nvme_plug();
	return 0;
}

static int done(void **state)
{
	(void)state;
	fake.deaf = true;
	memset(fake_bar, 0xff, sizeof(fake_bar));
	pull_out();
	fake_nvme_unplug();
	return 0;
}

static struct blkdev *start(void)
{
	disk_nvme.probe(&pci);
	assert_int_equal(fake_starting, 1);
	assert_int_equal(fake_n_added, 0);
	go(50 * MS);
	assert_int_equal(fake_starting, 0);
	assert_int_equal(fake_n_added, 2);
	assert_true(fake_master);
	return fake_added[0];
}

static void test_start(void **state)
{
	const struct blkdev *b = start();

	(void)state;
	assert_string_equal(b->name, "nvme@00:05.0/1");
	assert_string_equal(b->model, "A fine drive");
	assert_string_equal(b->serial, "S123");
	assert_int_equal(b->sector_bytes, 512);
	assert_int_equal(b->bytes, FAKE_NS_BYTES);
	assert_true(b->write_cache && b->discard_max && !b->read_only);
	assert_string_equal(fake_added[1]->name, "nvme@00:05.0/7");
	assert_int_equal(fake_added[1]->sector_bytes, 4096);
	assert_non_null(strstr(fake_log(), "nvme@00:05.0/9: its format has metadata"));
}

static void test_data(void **state)
{
	(void)state;
	both_ways(start(), fake.medium[0], 60, 1);
	assert_true(fake.fua > 20);
}

static void test_data_4096(void **state)
{
	(void)state;
	start();
	both_ways(fake_added[1], fake.medium[1], 60, 4);
}

/* The least that MDTS can say: pages. */
static void test_mdts(void **state)
{
	(void)state;
	fake.mdts = 1;
	both_ways(start(), fake.medium[0], 60, 4);
}

static struct fake_request *plain(enum blk_op op, uint64_t at, uint64_t n)
{
	struct fake_request *q = calloc(1, sizeof(*q));

	q->r = (struct blk_request){
		.op = op, .offset = at, .bytes = n, .done = fake_done, .ctx = q};
	return q;
}

static enum blk_status carry_out(struct blkdev *b, struct fake_request *q)
{
	enum blk_status status;

	blk_submit(b, &q->r);
	go(20 * MS);
	assert_int_equal(q->ended, 1);
	status = q->status;
	free(q);
	return status;
}

static void test_other_commands(void **state)
{
	struct blkdev *b = start();

	(void)state;
	memset(fake.medium[0], 7, FAKE_NS_BYTES);
	assert_int_equal(carry_out(b, plain(BLK_FLUSH, 0, 0)), BLK_OK);
	assert_int_equal(carry_out(b, plain(BLK_DISCARD, 1024, 2048)), BLK_OK);
	assert_int_equal(carry_out(b, plain(BLK_WRITE_ZEROES, 4096, 8192)), BLK_OK);
	assert_int_equal(fake.flushes, 1);
	assert_int_equal(fake.dsm, 1);
	assert_int_equal(fake.zeroes, 1);
	for (unsigned i = 0; i < 16384; i++)
		assert_int_equal(fake.medium[0][i],
				 (i >= 1024 && i < 3072) || (i >= 4096 && i < 12288) ? 0 : 7);
	fake.status = NVME_S_OPCODE;
	assert_int_equal(carry_out(b, plain(BLK_DISCARD, 0, 512)), BLK_UNSUPPORTED);
	fake.status = NVME_S_RANGE;
	assert_int_equal(carry_out(b, plain(BLK_FLUSH, 0, 0)), BLK_RANGE);
	fake.status = 0x281; /* unrecovered read error */
	assert_int_equal(carry_out(b, plain(BLK_FLUSH, 0, 0)), BLK_IO_ERROR);
	assert_int_equal(b->stats.errors, 1);
}

static void test_many(void **state)
{
	struct blkdev *b = start();

	(void)state;
	fake.hold = true;
	send_many(b, false);
	go(10 * MS);
	assert_int_equal(b->stats.in_flight, MANY);
	fake.hold = false;
	go(100 * MS);
	ended(fake.medium[0], 0, MANY, BLK_OK);
	assert_int_equal(b->stats.resets, 0);
}

static void test_controller_fails(void **state)
{
	struct blkdev *b = start();

	(void)state;
	fake.hold = true;
	send_many(b, false);
	fake.deaf = true;
	fake_set(NVME_CSTS, NVME_CSTS_RDY | NVME_CSTS_CFS);
	go(1100 * MS);
	assert_int_equal(b->stats.resets, 1);
	fake.deaf = fake.hold = false;
	go(1000 * MS);
	assert_int_equal(fake.enables, 2);
	ended(fake.medium[0], 0, MANY, BLK_OK);
	assert_int_equal(carry_out(b, plain(BLK_FLUSH, 0, 0)), BLK_OK);
}

static void test_no_answer(void **state)
{
	struct blkdev *b = start();

	(void)state;
	fake.hold = true;
	send_many(b, false);
	go(31 * SECOND);
	assert_int_equal(b->stats.resets, 1);
	assert_int_equal(b->stats.timeouts, 31); /* that fit into the queue of 32 */
	assert_int_equal(many[0].status, BLK_IO_ERROR);
	assert_int_equal(many[31].ended, 0);
	go(120 * SECOND);
	ended(fake.medium[0], 0, MANY, BLK_IO_ERROR);
}

static void test_lies(void **state)
{
	struct blkdev *b = start();

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		static const uint16_t lies[] = {0x0001, 0x0100, 0x00ff, 0x4000};

		fake.cid_xor = lies[i];
		assert_int_equal(carry_out(b, plain(BLK_FLUSH, 0, 0)), BLK_OK); /* sent again */
		assert_int_equal(b->stats.resets, i + 1);
	}
}

static void test_pulled_out(void **state)
{
	struct blkdev *b = start();

	(void)state;
	fake.hold = true;
	send_many(b, false);
	fake.deaf = true;
	memset(fake_bar, 0xff, sizeof(fake_bar));
	fake_vendor = 0xffff;
	go(1100 * MS);
	ended(fake.medium[0], 0, MANY, BLK_GONE);
	assert_true(b->gone);
}

/* Its registers are all ones, though configuration space answers. */
static void test_registers_gone(void **state)
{
	struct blkdev *b = start();

	(void)state;
	send_many(b, false);
	fake.deaf = true;
	memset(fake_bar, 0xff, sizeof(fake_bar));
	go(1100 * MS);
	ended(fake.medium[0], 0, MANY, BLK_GONE);
	assert_false(fake_master);
	assert_true(b->gone);
}

static void test_does_not_come_back(void **state)
{
	struct blkdev *b = start();

	(void)state;
	fake.hold = true;
	send_many(b, false);
	fake.deaf = true;
	fake_set(NVME_CSTS, NVME_CSTS_RDY | NVME_CSTS_CFS);
	go(3 * SECOND); /* CAP.TO is 1 s */
	ended(fake.medium[0], 0, MANY, BLK_GONE);
	assert_false(fake_master);
	assert_true(b->gone);
}

static void test_does_not_start(void **state)
{
	(void)state;
	fake.deaf = true;
	disk_nvme.probe(&pci);
	go(3 * SECOND);
	assert_int_equal(fake_starting, 0);
	assert_int_equal(fake_n_added, 0);
	assert_non_null(strstr(fake_log(), "nvme@00:05.0: it does not become ready; it stays off"));
	assert_false(fake_master);
}

static void test_unfit(void **state)
{
	(void)state;
	fake_set(NVME_CAP + 4, 1u << 5 | 1u << 16); /* pages of 8 KiB at least */
	disk_nvme.probe(&pci);
	assert_int_equal(fake_starting, 0);
	assert_non_null(strstr(fake_log(), "pages of 4 KiB"));
}

static void test_prps(void **state)
{
	static const struct {
		struct blkmem m[3];
		unsigned n;
		uint64_t prp1, prp2, list[3];
	} cases[] = {
		{{{0x1000, 512}}, 1, 0x1000, 0, {0}},
		{{{0x1e00, 512}}, 1, 0x1e00, 0, {0}},
		{{{0x1e00, 1024}}, 1, 0x1e00, 0x2000, {0}},
		{{{0x1800, 0x2000}}, 1, 0x1800, 0xabc000, {0x2000, 0x3000}},
		{{{0x1f00, 0x100}, {0x9000, 0x1000}, {0x5000, 0x80}},
		 3,
		 0x1f00,
		 0xabc000,
		 {0x9000, 0x5000}},
		{{{0x1000, 0x4000}}, 1, 0x1000, 0xabc000, {0x2000, 0x3000, 0x4000}},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t list[NVME_LIST_ENTRIES] = {0};
		struct nvme_sqe e = {0};

		nvme_prps(&e, cases[i].m, cases[i].n, list, 0xabc000);
		assert_int_equal(e.prp1, cases[i].prp1);
		assert_int_equal(e.prp2, cases[i].prp2);
		for (unsigned k = 0; k < 3 && cases[i].list[k]; k++)
			assert_int_equal(list[k], cases[i].list[k]);
	}
}

static void test_namespaces(void **state)
{
	uint8_t id[4096] = {0};
	struct blkdev b = {0};
	const char *why;

	(void)state;
	assert_false(nvme_ns_read(id, &b, &why)); /* no blocks */
	put32(id + ID_NS_SIZE + 4, 0x80000000u);
	put32(id + ID_NS_FORMATS + 8, 12 << 16);
	id[ID_NS_FLBAS] = 2;
	assert_false(nvme_ns_read(id, &b, &why)); /* more bytes than 64 bits */
	put32(id + ID_NS_SIZE + 4, 0);
	put32(id + ID_NS_SIZE, 1000);
	id[ID_NS_ATTRIBUTES] = NVME_NS_PROTECTED;
	id[ID_NS_FEATURES] = NVME_NS_OPTPERF;
	put16(id + ID_NS_NPWG, 3);
	assert_true(nvme_ns_read(id, &b, &why));
	assert_true(b.read_only);
	assert_int_equal(b.bytes, 4096000);
	assert_int_equal(b.physical_bytes, 16384);
	put32(id + ID_NS_FORMATS + 8, 11 << 16);
	assert_false(nvme_ns_read(id, &b, &why));
	put32(id + ID_NS_FORMATS + 8, 255 << 16);
	assert_false(nvme_ns_read(id, &b, &why));
	assert_int_equal(nvme_bytes_max(0, 0), 512 << 10);
	assert_int_equal(nvme_bytes_max(0, 3), 32 << 10);
	assert_int_equal(nvme_bytes_max(0, 255), 512 << 10);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, done)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_start),
		T(test_data),
		T(test_data_4096),
		T(test_mdts),
		T(test_other_commands),
		T(test_many),
		T(test_controller_fails),
		T(test_no_answer),
		T(test_lies),
		T(test_pulled_out),
		T(test_registers_gone),
		T(test_does_not_come_back),
		T(test_does_not_start),
		T(test_unfit),
		T(test_prps),
		T(test_namespaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
