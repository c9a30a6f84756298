/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Open volumes: every byte where lvm_map() says, whatever requests, segments and drives are like; errors, flushes, what
 * drives do not offer, growing, going away. And memory as a block device.
 */
// SRC: tests/unit/fakehv.c
// SRC: tests/unit/drive_fakes.c
// SRC: ctrl-kernel/blk/*.c
// SRC: ctrl-kernel/blk/lvm/*.c
// SRC: ctrl-kernel/storage/memdisk.c
// SRC: ctrl-kernel/storage/partition.c
// SRC: ctrl-kernel/storage/ram.c
// SRC: ctrl-kernel/storage/request.c
// SRC: ctrl-kernel/storage/volume.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/storage/groups.h"
#include "ctrl-kernel/storage/memdisk.h"
#include "ctrl-kernel/storage/ram.h"
#include "ctrl-kernel/storage/volume.h"
#include "drivers/driver.h"
#include "tests/unit/drive_fakes.h"
#include "tests/unit/fakehv.h"

#define DRIVE_BYTES (8u << 20)
#define EXTENT 65536u /* bytes; 128 sectors */
#define PAGES 100000u

/* "mixed": linear on a and b with a hole, then striped over both, then linear again; "two": a part of b. */
static const char text_start[] =
	"vg {\nid = \"aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa\"\nseqno = 1\nformat = \"lvm2\"\n"
	"status = [\"RESIZEABLE\", \"READ\", \"WRITE\"]\nextent_size = 128\nmax_lv = 0\nmax_pv = "
	"0\n"
	"physical_volumes {\n"
	"pv0 {\nid = \"bbbbbb-bbbb-bbbb-bbbb-bbbb-bbbb-bbbbbb\"\nstatus = [\"ALLOCATABLE\"]\n"
	"dev_size = 16384\npe_start = 2048\npe_count = 112\n}\n"
	"pv1 {\nid = \"cccccc-cccc-cccc-cccc-cccc-cccc-cccccc\"\nstatus = [\"ALLOCATABLE\"]\n"
	"dev_size = 16384\npe_start = 2048\npe_count = 112\n}\n}\n"
	"logical_volumes {\n";
static const char text_mixed[] =
	"mixed {\nid = \"dddddd-dddd-dddd-dddd-dddd-dddd-dddddd\"\n"
	"status = [\"READ\", \"WRITE\", \"VISIBLE\"]\nsegment_count = 4\n"
	"segment1 {\nstart_extent = 0\nextent_count = 2\ntype = \"striped\"\nstripe_count = 1\n"
	"stripes = [\"pv0\", 3]\n}\n"
	"segment2 {\nstart_extent = 2\nextent_count = 3\ntype = \"striped\"\nstripe_count = 1\n"
	"stripes = [\"pv1\", 0]\n}\n"
	"segment3 {\nstart_extent = 5\nextent_count = 8\ntype = \"striped\"\nstripe_count = 2\n"
	"stripe_size = 16\nstripes = [\"pv0\", 50, \"pv1\", 20]\n}\n"
	"segment4 {\nstart_extent = 13\nextent_count = %u\ntype = \"striped\"\nstripe_count = 1\n"
	"stripes = [\"pv0\", 10]\n}\n}\n";
static const char text_two[] =
	"two {\nid = \"eeeeee-eeee-eeee-eeee-eeee-eeee-eeeeee\"\n"
	"status = [\"READ\", \"VISIBLE\"]\nsegment_count = 1\n"
	"segment1 {\nstart_extent = 0\nextent_count = 2\ntype = \"striped\"\nstripe_count = 1\n"
	"stripes = [\"pv1\", 60]\n}\n}\n";

static struct lvm_vg *vg;
static struct blkdev *devs[2];
static struct lvm_why why;
static uint8_t *model; /* of volume "mixed" */
static uint64_t seed = 7;

const struct lvm_vg *groups_vg(const char *name)
{
	return vg && strcmp(name, vg->name) == 0 ? vg : NULL;
}

const struct lvm_vg *groups_vg_by_id(const char *id)
{
	return vg && strcmp(id, vg->id) == 0 ? vg : NULL;
}

struct blkdev *groups_dev(int disk)
{
	return disk < 0 ? NULL : devs[disk];
}

bool groups_closes(const char *name, const char *lv)
{
	(void)name;
	return strcmp(lv, "closing") == 0;
}

static unsigned dice(unsigned below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(seed >> 33) % below;
}

static struct lvm_vg *group(unsigned last, bool mixed)
{
	static char text[8192], lv[2048];
	struct lvm_vg *g;

	snprintf(lv, sizeof(lv), text_mixed, last);
	snprintf(text, sizeof(text),
		 "%s%s%s}\n}\ncontents = \"Text Format Volume Group\"\nversion = 1\n", text_start,
		 mixed ? lv : "", text_two);
	if (lvm_vg_parse(text, strlen(text), &g, &why))
		fail_msg("%s", why.text);
	for (unsigned i = 0; i < 2; i++)
		g->pvs[i].disk = (int)i;
	lvm_vg_settle(g);
	return g;
}

static void change_group(struct lvm_vg *next)
{
	struct lvm_vg *old = vg;

	vg = next;
	volumes_rebind();
	lvm_vg_free(old);
}

static int setup_of(uint32_t sector_a, uint32_t sector_b)
{
	fake_reset(PAGES);
	devs[0] = &fake_drive_add("a", DRIVE_BYTES, sector_a)->dev;
	devs[1] = &fake_drive_add("b", DRIVE_BYTES, sector_b)->dev;
	fake_drive(0)->any_order = fake_drive(1)->any_order = true;
	vg = group(3, true);
	model = calloc(16, EXTENT);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return setup_of(512, 512);
}

static int setup_4096(void **state)
{
	(void)state;
	return setup_of(512, 4096);
}

static int teardown(void **state)
{
	(void)state;
	lvm_vg_free(vg);
	vg = NULL;
	free(model);
	fake_drives_free();
	fake_close_self();
	assert_int_equal(fake_objects(), 0);
	assert_int_equal(fake_mappings(), 0);
	fake_log_clear();
	return 0;
}

static struct blkdev *open_it(const char *pool, const char *name, bool write)
{
	struct blkdev *b = NULL;

	if (volume_open(pool, name, write, &b, &why))
		fail_msg("%s", why.text);
	return b;
}

/* ---- requests ---- */

struct ask {
	struct blk_request rq;
	struct blk_seg segs[600];
	uint8_t *data;
	bool done;
	enum blk_status status;
};

static void ask_done(struct blk_request *r, enum blk_status status)
{
	struct ask *a = r->ctx;

	assert_false(a->done);
	a->done = true;
	a->status = status;
}

static void ask_begin(struct ask *a, struct blkdev *b, enum blk_op op, uint64_t offset,
		      uint64_t bytes, unsigned piece)
{
	uint64_t at = 0;

	memset(a, 0, sizeof(*a));
	a->rq = (struct blk_request){
		.op = op, .offset = offset, .bytes = bytes, .done = ask_done, .ctx = a};
	a->rq.seg = a->segs;
	a->data = malloc(bytes + 1);
	for (uint64_t i = 0; i < bytes; i++)
		a->data[i] = op == BLK_WRITE ? (uint8_t)dice(256) : 0xee;
	while ((op == BLK_READ || op == BLK_WRITE) && at < bytes) {
		uint64_t n = piece ? 1 + dice(piece) : bytes;

		n = n < bytes - at && a->rq.n_segs < 599 ? n : bytes - at;
		a->segs[a->rq.n_segs++] = (struct blk_seg){
			.va = a->data + at, .hpa = (uintptr_t)a->data + at, .bytes = (uint32_t)n};
		at += n;
	}
	blk_submit(b, &a->rq);
	assert_false(a->done); /* never from inside */
}

static enum blk_status ask_end(struct ask *a)
{
	fake_loop();
	assert_true(a->done);
	free(a->data);
	a->data = NULL;
	return a->status;
}

static enum blk_status ask_now(struct blkdev *b, enum blk_op op, uint64_t offset, uint64_t bytes)
{
	static struct ask a;

	ask_begin(&a, b, op, offset, bytes, 0);
	return ask_end(&a);
}

/* ---- all requests at random, many at a time, against a flat model ---- */

#define MANY 40u

static void random_round(struct blkdev *b, unsigned piece)
{
	static struct ask asks[MANY];
	uint32_t s = b->sector_bytes;
	uint64_t slot = b->bytes / MANY / s * s; /* each has its own range: they end in any order */

	for (unsigned i = 0; i < MANY; i++) {
		static const enum blk_op ops[] = {BLK_READ, BLK_WRITE, BLK_WRITE, BLK_WRITE_ZEROES};
		enum blk_op op = ops[dice(4)];
		uint64_t sectors = slot / s, at = dice((unsigned)sectors),
			 n = 1 + dice((unsigned)(sectors - at)), offset = i * slot + at * s;

		ask_begin(&asks[i], b, op, offset, n * s, piece);
		if (op == BLK_WRITE)
			memcpy(model + offset, asks[i].data, n * s);
		else if (op == BLK_WRITE_ZEROES)
			memset(model + offset, 0, n * s);
	}
	fake_loop();
	for (unsigned i = 0; i < MANY; i++) {
		assert_true(asks[i].done);
		assert_int_equal(asks[i].status, BLK_OK);
		if (asks[i].rq.op == BLK_READ)
			assert_memory_equal(asks[i].data, model + asks[i].rq.offset,
					    asks[i].rq.bytes);
		free(asks[i].data);
	}
}

/* What lies on the drives, by the map, is the model. */
static void check_drives(void)
{
	const struct lvm_lv *lv = lvm_lv_find(vg, "mixed");

	for (uint64_t lba = 0; lba < lvm_lv_sectors(vg, lv); lba++) {
		struct lvm_piece p;
		uint64_t mapped;

		assert_int_equal(lvm_map(vg, lv, lba, 1, &p, 1, &mapped), 1);
		assert_memory_equal(fake_drive(p.pv)->now + p.lba * 512, model + lba * 512, 512);
	}
}

static void run_random(unsigned piece)
{
	struct blkdev *b = open_it("vg", "mixed", true);

	for (unsigned i = 0; i < 30; i++) {
		fake_drive(0)->no_zeroes = i % 3 == 0;
		devs[1]->discard_max = i % 2 ? 40960 : 0;
		random_round(b, piece);
	}
	check_drives();
	if (piece)
		assert_in_range(fake_drive(0)->most_segs, 2, 600);
	volume_close(b);
}

static void test_random(void **state)
{
	(void)state;
	run_random(5000);
}

static void test_random_large(void **state)
{
	(void)state;
	run_random(0);
}

static void test_random_4096(void **state)
{
	struct blkdev *b = open_it("vg", "mixed", true);

	(void)state;
	assert_int_equal(b->sector_bytes, 4096);
	volume_close(b);
	run_random(3000);
}

/* One request over everything, in pieces so small that a part does not hold all of them. */
static void test_whole(void **state)
{
	struct blkdev *b = open_it("vg", "mixed", true);
	static struct ask a;

	(void)state;
	ask_begin(&a, b, BLK_WRITE, 0, b->bytes, 3500);
	memcpy(model, a.data, b->bytes);
	assert_int_equal(ask_end(&a), BLK_OK);
	check_drives();
	ask_begin(&a, b, BLK_READ, 0, b->bytes, 3500);
	fake_loop();
	assert_memory_equal(a.data, model, b->bytes);
	assert_int_equal(ask_end(&a), BLK_OK);
	/* a sector of more pieces than a part takes, where a part ends */
	ask_begin(&a, b, BLK_WRITE, 2 * EXTENT - 512, 1024, 8);
	assert_int_equal(ask_end(&a), BLK_UNSUPPORTED);
	assert_int_equal(b->stats.in_flight, 0);
	volume_close(b);
}

/* ---- what is not as it should be ---- */

static void test_refused(void **state)
{
	struct blkdev *b = open_it("vg", "mixed", true), *r, *other;

	(void)state;
	assert_int_equal(b->bytes, 16 * EXTENT);
	assert_int_equal(ask_now(b, BLK_READ, b->bytes - 512, 1024), BLK_RANGE);
	assert_int_equal(ask_now(b, BLK_READ, 100, 512), BLK_RANGE);
	assert_int_equal(ask_now(b, BLK_READ, 0, 0), BLK_RANGE);
	assert_int_equal(ask_now(b, BLK_READ, UINT64_MAX - 511, 512), BLK_RANGE);
	assert_int_equal(volume_open("vg", "mixed", true, &other, &why), -HVE_BUSY);
	r = open_it("vg", "mixed", false);
	assert_int_equal(ask_now(r, BLK_WRITE, 0, 512), BLK_UNSUPPORTED);
	assert_int_equal(ask_now(r, BLK_READ, 0, 512), BLK_OK);
	assert_int_equal(volume_open("vg", "none", false, &other, &why), -HVE_NOENT);
	assert_int_equal(volume_open("none", "mixed", false, &other, &why), -HVE_NOENT);
	assert_int_equal(volume_open("vg", "two", true, &other, &why), -HVE_STATE);
	volume_close(b);
	volume_close(r);
	devs[0]->read_only = true;
	assert_int_equal(volume_open("vg", "mixed", true, &other, &why), -HVE_STATE);
}

/* The first error wins, and nothing more is begun; all ends. */
static void test_errors(void **state)
{
	struct blkdev *b = open_it("vg", "mixed", true);
	unsigned failed = 0;

	(void)state;
	for (unsigned at = 1; at < 40; at++) {
		fake_drive(0)->requests = 0;
		fake_drive(0)->fail_at = at;
		if (ask_now(b, BLK_WRITE, 0, b->bytes) == BLK_IO_ERROR)
			failed++;
		else
			break;
		assert_int_equal(b->stats.in_flight, 0);
	}
	assert_in_range(failed, 10, 38);
	assert_int_equal(b->stats.errors, failed);
	fake_drive(0)->fail_at = 0;
	devs[1]->gone = true;
	assert_int_equal(ask_now(b, BLK_READ, 0, 2 * EXTENT), BLK_OK);
	assert_int_equal(ask_now(b, BLK_READ, 0, 3 * EXTENT), BLK_GONE);
	assert_int_equal(ask_now(b, BLK_FLUSH, 0, 0), BLK_GONE);
	volume_close(b);
}

static void test_flush_and_fua(void **state)
{
	struct blkdev *b = open_it("vg", "mixed", true), *two = open_it("vg", "two", false);
	static struct ask a;

	(void)state;
	assert_int_equal(ask_now(b, BLK_FLUSH, 0, 0), BLK_OK);
	assert_int_equal(fake_drive(0)->count[BLK_FLUSH], 1);
	assert_int_equal(fake_drive(1)->count[BLK_FLUSH], 1);
	assert_int_equal(ask_now(two, BLK_FLUSH, 0, 0), BLK_OK);
	assert_int_equal(fake_drive(0)->count[BLK_FLUSH], 1);
	assert_int_equal(fake_drive(1)->count[BLK_FLUSH], 2);
	devs[0]->write_cache = false;
	assert_int_equal(ask_now(b, BLK_FLUSH, 0, 0), BLK_OK);
	assert_int_equal(fake_drive(0)->count[BLK_FLUSH], 1);
	memset(&a, 0, sizeof(a));
	a.data = malloc(4 * EXTENT);
	memset(a.data, 0x77, 4 * EXTENT);
	a.segs[0] = (struct blk_seg){a.data, (uintptr_t)a.data, 4 * EXTENT, 0};
	a.rq = (struct blk_request){.op = BLK_WRITE,
				    .fua = true,
				    .bytes = 4 * EXTENT,
				    .seg = a.segs,
				    .n_segs = 1,
				    .done = ask_done,
				    .ctx = &a};
	blk_submit(b, &a.rq);
	assert_int_equal(ask_end(&a), BLK_OK);
	for (unsigned i = 0; i < 2; i++)
		for (uint64_t k = 0; k < DRIVE_BYTES / 512; k++)
			assert_false(fake_drive(i)->dirty[k]);
	volume_close(b);
	volume_close(two);
}

static void test_discard(void **state)
{
	struct blkdev *b = open_it("vg", "mixed", true);

	(void)state;
	devs[0]->discard_max = 0;
	fake_drive(1)->no_zeroes = true;
	assert_int_equal(ask_now(b, BLK_DISCARD, 0, b->bytes), BLK_OK);
	volume_close(b);
}

static unsigned changes;

static void changed(struct blkdev *b)
{
	(void)b;
	changes++;
}

static void test_grows_and_goes(void **state)
{
	struct blkdev *b = open_it("vg", "mixed", true);

	(void)state;
	changes = 0;
	b->changed = changed;
	change_group(group(5, true));
	assert_int_equal(changes, 1);
	assert_int_equal(b->bytes, 18 * EXTENT);
	assert_int_equal(ask_now(b, BLK_WRITE, 17 * EXTENT, EXTENT), BLK_OK);
	change_group(group(5, true));
	assert_int_equal(changes, 1);
	change_group(group(0, false));
	assert_int_equal(changes, 2);
	assert_true(b->gone);
	assert_int_equal(ask_now(b, BLK_READ, 0, 512), BLK_GONE);
	volume_close(b);
}

/* What waits for parts when the volume goes ends, too. */
static void test_goes_under_load(void **state)
{
	struct blkdev *b = open_it("vg", "mixed", true);
	static struct ask asks[80];
	unsigned gone = 0;

	(void)state;
	for (unsigned i = 0; i < 80; i++)
		ask_begin(&asks[i], b, BLK_READ, i * 512, 512, 0);
	change_group(group(0, false));
	fake_loop();
	for (unsigned i = 0; i < 80; i++) {
		assert_true(asks[i].done);
		gone += asks[i].status == BLK_GONE;
		free(asks[i].data);
	}
	assert_int_equal(gone, 80 - VOLUME_PARTS);
	volume_close(b);
}

static void test_figures(void **state)
{
	struct blkdev *b = open_it("vg", "mixed", true), *c;
	struct blk_stats s;

	(void)state;
	volume_forget("dddddddddddddddddddddddddddddddd");
	(void)ask_now(b, BLK_WRITE, 0, 8192);
	volume_close(b);
	c = open_it("vg", "mixed", false);
	(void)ask_now(c, BLK_READ, 0, 4096);
	volume_stats("vg", "mixed", "dddddddddddddddddddddddddddddddd", &s);
	assert_int_equal(s.writes, 1);
	assert_int_equal(s.write_bytes, 8192);
	assert_int_equal(s.read_bytes, 4096);
	volume_close(c);
	volume_forget("dddddddddddddddddddddddddddddddd");
	volume_stats("vg", "mixed", "dddddddddddddddddddddddddddddddd", &s);
	assert_int_equal(s.writes, 0);
}

/* ---- partitions ---- */

static void test_partition(void **state)
{
	struct blkdev *p = partition_dev(devs[0], 2, 1 << 20, 65536);

	(void)state;
	assert_string_equal(p->name, "ap2");
	assert_ptr_equal(partition_dev(devs[0], 2, 1 << 20, 65536), p);
	assert_ptr_not_equal(partition_dev(devs[0], 3, 1 << 20, 65536), p);
	assert_int_equal(ask_now(p, BLK_WRITE, 65536 - 512, 512), BLK_OK);
	assert_int_equal(ask_now(p, BLK_WRITE, 65536 - 512, 1024), BLK_RANGE);
	assert_int_equal(ask_now(p, BLK_FLUSH, 0, 0), BLK_OK);
	for (uint64_t i = 0; i < DRIVE_BYTES; i++)
		if (i < (1 << 20) + 65536 - 512 || i >= (1 << 20) + 65536)
			assert_int_equal(fake_drive(0)->now[i], 0);
	devs[0]->gone = true;
	assert_int_equal(ask_now(p, BLK_READ, 0, 512), BLK_GONE);
}

/* ---- memory ---- */

static uint32_t make_mem(uint64_t pages)
{
	uint64_t mem, now = 0;

	assert_int_equal(hv_mem_create(0, &mem), 0);
	while (now < pages)
		assert_int_equal(hv_mem_grow((uint32_t)mem, pages, &now), 0);
	return (uint32_t)mem;
}

static void test_memory(void **state)
{
	struct ram_volume *ram = ram_volume(3);
	struct blkdev *b, *r;

	(void)state;
	*ram = (struct ram_volume){.mem = make_mem(256), .bytes = 256 * 4096};
	snprintf(ram->name, sizeof(ram->name), "m");
	b = open_it("ram", "m", true);
	assert_string_equal(b->name, "ram-3");
	free(model);
	model = calloc(256, 4096);
	for (unsigned i = 0; i < 10; i++)
		random_round(b, 700);
	r = open_it("ram", "m", false);
	assert_int_equal(ask_now(r, BLK_WRITE, 0, 512), BLK_UNSUPPORTED);
	assert_int_equal(ask_now(r, BLK_READ, 256 * 4096, 512), BLK_RANGE);
	changes = 0;
	b->changed = changed;
	hv_handle_close(ram->mem);
	ram->mem = make_mem(300); /* another object: what is mapped is what was */
	volume_close(b);
	volume_close(r);
	hv_handle_close(ram->mem);
	*ram = (struct ram_volume){.mem = 0};
}

static void test_memory_grows(void **state)
{
	struct ram_volume *ram = ram_volume(0);
	struct blkdev *b;
	uint64_t now;

	(void)state;
	*ram = (struct ram_volume){.mem = make_mem(2), .bytes = 8192};
	snprintf(ram->name, sizeof(ram->name), "m");
	b = open_it("ram", "m", true);
	changes = 0;
	b->changed = changed;
	assert_int_equal(hv_mem_grow(ram->mem, 4, &now), 0);
	ram->bytes = 16384;
	volumes_grown(ram);
	assert_int_equal(changes, 1);
	assert_int_equal(b->bytes, 16384);
	assert_int_equal(ask_now(b, BLK_WRITE, 12288, 4096), BLK_OK);
	snprintf(ram->name, sizeof(ram->name), "n");
	volumes_rebind();
	assert_int_equal(volume_users("ram", "n", &(bool){false}), 1);
	volume_close(b);
	hv_handle_close(ram->mem);
	*ram = (struct ram_volume){.mem = 0};
}

/* An image: read-only, its last sector filled up. A long request goes in turns. */
static void test_memdisk(void **state)
{
	uint64_t bytes = (10u << 20) + 100;
	uint8_t *data = malloc(bytes);
	static struct ask a;
	struct blkdev *b;
	uint32_t mem;

	(void)state;
	for (uint64_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(i * 7 + (i >> 12));
	mem = fake_module(data, bytes);
	assert_int_equal(memdisk_open("image", mem, bytes, true, &b), 0);
	assert_int_equal(b->bytes, (10u << 20) + 512);
	ask_begin(&a, b, BLK_READ, 0, b->bytes, 0);
	fake_turn();
	assert_false(a.done);
	fake_loop();
	assert_memory_equal(a.data, data, bytes);
	assert_int_equal(a.data[bytes], 0);
	assert_int_equal(ask_end(&a), BLK_OK);
	assert_int_equal(ask_now(b, BLK_WRITE, 0, 512), BLK_UNSUPPORTED);
	assert_int_equal(ask_now(b, BLK_FLUSH, 0, 0), BLK_OK);
	memdisk_close(b);
	hv_handle_close(mem);
	free(data);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_random),
		T(test_random_large),
		cmocka_unit_test_setup_teardown(test_random_4096, setup_4096, teardown),
		T(test_whole),
		T(test_refused),
		T(test_errors),
		T(test_flush_and_fua),
		T(test_discard),
		T(test_grows_and_goes),
		T(test_goes_under_load),
		T(test_figures),
		T(test_partition),
		T(test_memory),
		T(test_memory_grows),
		T(test_memdisk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
