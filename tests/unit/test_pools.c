/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pools through the operation layer: what may be asked for, and what becomes of it when the power goes or a drive fails at any
 * request. Volumes in memory over the death of the program.
 */
// SRC: tests/unit/fakehv.c
// SRC: tests/unit/drive_fakes.c
// SRC: ctrl-kernel/blk/*.c
// SRC: ctrl-kernel/blk/*/*.c
// SRC: ctrl-kernel/storage/*.c
// SRC: ctrl-kernel/ops/error.c
// SRC: ctrl-kernel/ops/host.c
// SRC: ctrl-kernel/ops/keep_ram.c
// SRC: ctrl-kernel/ops/pool_info.c
// SRC: ctrl-kernel/ops/pools.c
// SRC: ctrl-kernel/ops/rampool.c
// SRC: build/deps/src/mbedtls/library/sha256.c
// SRC: build/deps/src/mbedtls/library/platform_util.c
// FLAGS: -isystem build/deps/src/mbedtls/include '-DMBEDTLS_CONFIG_FILE="ctrl-kernel/mbedtls_config.h"'
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "ctrl-kernel/blk/le.h"
#include "ctrl-kernel/ops/keep_ram.h"
#include "ctrl-kernel/ops/lasting.h"
#include "ctrl-kernel/ops/pools.h"
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/storage/groups.h"
#include "ctrl-kernel/storage/volume.h"
#include "drivers/disks.h"
#include "tests/unit/drive_fakes.h"
#include "tests/unit/fakehv.h"
#include "tests/unit/lvm_fakes.h"

#define DRIVES 3u
#define DRIVE_BYTES (16u << 20)
#define EDGE (2u << 20)
#define EXTENT 65536u
#define PAGES 100000u

static struct ops_error error;

/* No configuration lies in these pools. */
void lasting_release(const char *pool)
{
	(void)pool;
}

static int result; /* 1: not yet */

static void done(void *ctx, const struct ops_error *e)
{
	assert_ptr_equal(ctx, &result);
	assert_int_equal(result, 1);
	result = e ? -1 : 0;
	if (e)
		error = *e;
}

#define DONE done, &result, &error
/* Carries an operation out -> its outcome. */
#define RUN(call) (result = 1, (call) ? -1 : (fake_loop(), result))

static void must_(int r, const char *what)
{
	if (r)
		fail_msg("%s: %d %s", what, error.code, error.text);
}
#define MUST(call) must_(RUN(call), #call)

static void refused_(int r, enum ops_code code, const char *words, const char *what)
{
	if (r != -1 || error.code != code || !strstr(error.text, words))
		fail_msg("%s: %d, code %d, \"%s\"", what, r, error.code, r ? error.text : "");
}
#define REFUSED(code, words, call) refused_(RUN(call), code, words, #call)

static int setup_of(uint32_t sector)
{
	fake_reset(PAGES);
	for (unsigned i = 0; i < DRIVES; i++) {
		char name[8];

		snprintf(name, sizeof(name), "d%u", i);
		fake_drive_add(name, DRIVE_BYTES, sector);
	}
	groups_drives(disk_first);
	MUST(pools_scan(DONE));
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return setup_of(512);
}

static int setup_4096(void **state)
{
	(void)state;
	return setup_of(4096);
}

static int teardown(void **state)
{
	(void)state;
	fake_drives_free();
	MUST(pools_scan(DONE));
	fake_forget_kept();
	fake_close_self();
	assert_int_equal(fake_handles(), 0);
	assert_int_equal(fake_objects(), 0);
	fake_log_clear();
	return 0;
}

/* The records of volumes in memory stay mapped, in an object of each of these tests. */
static int teardown_ram(void **state)
{
	static unsigned tables;

	(void)state;
	fake_drives_free();
	fake_forget_kept();
	fake_close_self();
	assert_int_equal(fake_handles(), 0);
	assert_int_equal(fake_objects(), ++tables);
	fake_log_clear();
	return 0;
}

static struct pool_spec spec_of(const char *name, unsigned first, unsigned count)
{
	struct pool_spec s = {.n_disks = count, .extent_bytes = EXTENT, .copies = 1};

	snprintf(s.name, sizeof(s.name), "%s", name);
	for (unsigned i = 0; i < count; i++)
		snprintf(s.disks[i], sizeof(s.disks[i]), "d%u", first + i);
	return s;
}

static void make_pool(const char *name, unsigned first, unsigned count)
{
	struct pool_spec s = spec_of(name, first, count);

	MUST(pool_create(&s, DONE));
}

static uint64_t size_of(const char *pool, const char *volume)
{
	struct volume_info v;

	if (volume_info(pool, volume, &v, &error))
		return 0;
	return v.bytes;
}

/* ---- before the drives were read ---- */

static unsigned order[5], n_order;

static void in_order(void *ctx, const struct ops_error *e)
{
	assert_null(e);
	order[n_order++] = (unsigned)(uintptr_t)ctx;
}

static int setup_unread(void **state)
{
	(void)state;
	fake_reset(PAGES);
	fake_drive_add("d0", DRIVE_BYTES, 512);
	groups_drives(disk_first);
	return 0;
}

/* What is asked for then waits for the first scan, which is carried out once, whatever else comes. */
static void test_unread(void **state)
{
	struct pool_spec s = {.name = "p", .disks = {"d0"}, .n_disks = 1, .copies = 1};
	struct pool_info p;

	(void)state;
	assert_false(pools_known());
	assert_int_equal(pool_create(&s, in_order, (void *)2, &error), 0);
	fake_loop();
	assert_int_equal(n_order, 0);
	assert_int_equal(pool_info("p", &p, &error), -1);
	assert_int_equal(error.code, OPS_NOT_READY);
	assert_int_equal(pools_scan(in_order, (void *)1, &error), 0);
	for (unsigned i = 0; i < 3; i++) {
		fake_turn();
		if (i == 1)
			assert_int_equal(
				volume_create("p", "v", EXTENT, in_order, (void *)3, &error), 0);
	}
	assert_int_equal(pools_scan(in_order, (void *)4, &error), 0);
	fake_loop();
	assert_int_equal(n_order, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(order[i], i + 1);
	assert_int_equal(size_of("p", "v"), 64 * EXTENT);
}

/* ---- what may be asked for ---- */

static void test_changes(void **state)
{
	struct pool_info p;
	struct volume_info v;
	unsigned cursor = 0;

	(void)state;
	make_pool("p", 0, 2);
	assert_int_equal(pool_info("p", &p, &error), 0);
	assert_int_equal(p.disks, 2);
	assert_int_equal(p.free, p.bytes);
	MUST(volume_create("p", "v", 100000, DONE));
	assert_int_equal(size_of("p", "v"), 2 * EXTENT);
	MUST(volume_create("p", "w", 4 * EXTENT, DONE));
	MUST(volume_resize("p", "v", 5 * EXTENT, false, DONE));
	assert_int_equal(size_of("p", "v"), 5 * EXTENT);
	MUST(volume_resize("p", "v", 5 * EXTENT - 7, false, DONE)); /* nothing to do */
	REFUSED(OPS_WRONG_STATE, "force", volume_resize("p", "v", EXTENT, false, DONE));
	MUST(volume_resize("p", "v", EXTENT, true, DONE));
	MUST(volume_rename("p", "v", "x", DONE));
	REFUSED(OPS_EXISTS, "exists", volume_rename("p", "x", "w", DONE));
	MUST(volume_rename("p", "x", "x", DONE));
	assert_true(pool_volume_next("p", &cursor, &v));
	assert_string_equal(v.name, "x");
	assert_string_equal(v.kind, "linear");
	assert_true(pool_volume_next("p", &cursor, &v));
	assert_false(pool_volume_next("p", &cursor, &v));
	MUST(pool_extend("p", "d2", false, DONE));
	REFUSED(OPS_NO_SPACE, "free", volume_create("p", "big", 1u << 30, DONE));
	MUST(volume_create("p", "big", 30u << 20, DONE));
	MUST(volume_delete("p", "w", NULL, DONE));
	REFUSED(OPS_NO_VOLUME, "no volume", volume_delete("p", "w", NULL, DONE));
	REFUSED(OPS_NO_POOL, "no pool", volume_create("q", "v", 1, DONE));
	MUST(pools_scan(DONE)); /* what is on the disks is the same */
	assert_int_equal(size_of("p", "x"), EXTENT);
	assert_int_equal(size_of("p", "big"), 30u << 20);
	assert_int_equal(size_of("p", "w"), 0);
	REFUSED(OPS_WRONG_STATE, "2 volumes", pool_delete("p", false, DONE));
	MUST(pool_delete("p", true, DONE));
	assert_int_equal(pool_info("p", &p, &error), -1);
	make_pool("p", 0, 3); /* nothing is left that would be in the way */
}

static void test_refused(void **state)
{
	struct pool_spec s = spec_of("p", 0, 1);
	struct blkdev *b;

	(void)state;
	s.extent_bytes = 5000;
	REFUSED(OPS_INVALID, "power of two", pool_create(&s, DONE));
	s = spec_of("ram", 0, 1);
	REFUSED(OPS_EXISTS, "ram", pool_create(&s, DONE));
	s = spec_of("p", 0, 0);
	REFUSED(OPS_INVALID, "at least one", pool_create(&s, DONE));
	s = spec_of("p", 7, 1);
	REFUSED(OPS_INVALID, "no disk d7", pool_create(&s, DONE));
	s = spec_of("p", 0, 2);
	strcpy(s.disks[1], "d0");
	REFUSED(OPS_INVALID, "twice", pool_create(&s, DONE));
	fake_drive(0)->dev.read_only = true;
	s = spec_of("p", 0, 1);
	REFUSED(OPS_WRONG_STATE, "read-only", pool_create(&s, DONE));
	fake_drive(0)->dev.read_only = false;
	make_pool("p", 0, 1);
	s = spec_of("p", 1, 1);
	REFUSED(OPS_EXISTS, "already", pool_create(&s, DONE));
	s = spec_of("q", 0, 2);
	s.force = true; /* not even then */
	REFUSED(OPS_BUSY, "d0 belongs to pool p", pool_create(&s, DONE));
	REFUSED(OPS_BUSY, "d0 belongs to pool p", pool_extend("p", "d0", true, DONE));
	MUST(volume_create("p", "v", 2 * EXTENT, DONE));
	assert_int_equal(volume_use("p", "v", true, &b, &error), 0);
	REFUSED(OPS_BUSY, "in use", volume_delete("p", "v", NULL, DONE));
	REFUSED(OPS_BUSY, "in use", volume_resize("p", "v", EXTENT, true, DONE));
	REFUSED(OPS_BUSY, "in use", pool_delete("p", true, DONE));
	MUST(volume_resize("p", "v", 3 * EXTENT, false, DONE));
	assert_int_equal(b->bytes, 3 * EXTENT);
	MUST(volume_rename("p", "v", "w", DONE));
	MUST(volume_delete("p", "w", b, DONE)); /* b was the only one */
	REFUSED(OPS_INVALID, "name", volume_create("p", "../x", 1, DONE));
	REFUSED(OPS_INVALID, "keeps names", volume_create("p", "x_rmeta", 1, DONE));
	REFUSED(OPS_INVALID, "at least one", volume_create("p", "x", 0, DONE));
	REFUSED(OPS_NO_SPACE, "more than", volume_create("p", "x", UINT64_MAX, DONE));
}

static void test_signatures(void **state)
{
	struct pool_spec s = spec_of("p", 0, 2);
	struct fake_drive *d = fake_drive(1);

	(void)state;
	d->now[1024 + 56] = 0x53; /* ext2's magic, revision 1 */
	d->now[1024 + 57] = 0xef;
	le32_put(d->now + 1024 + 76, 1);
	le32_put(d->now + 1024, 16);
	le32_put(d->now + 1024 + 4, 1024);
	REFUSED(OPS_OCCUPIED, "d1 carries something: ext", pool_create(&s, DONE));
	d->fail_at = 1;
	d->requests = 1;
	REFUSED(OPS_OCCUPIED, "cannot be read", pool_create(&s, DONE));
	d->fail_at = 0;
	s.force = true;
	MUST(pool_create(&s, DONE));
	s = spec_of("q", 2, 1);
	MUST(pool_create(&s, DONE));
	MUST(pool_delete("q", false, DONE));
	MUST(pool_create(&s, DONE));
}

/* An MBR with two partitions: each is a place of its own, the drive is none while one of them is taken. */
static void test_partitions(void **state)
{
	uint8_t *mbr = fake_drive(0)->now;
	struct pool_spec s = spec_of("p", 0, 1);
	struct pool_disk_info disk;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		mbr[446 + 16 * i + 4] = 0x8e;
		le32_put(mbr + 446 + 16 * i + 8, 64 + i * 7000);
		le32_put(mbr + 446 + 16 * i + 12, i ? 25000 : 6000);
	}
	mbr[510] = 0x55;
	mbr[511] = 0xaa;
	MUST(pools_scan(DONE));
	REFUSED(OPS_OCCUPIED, "partition", pool_create(&s, DONE));
	strcpy(s.disks[0], "d0p1");
	REFUSED(OPS_NO_SPACE, "too small", pool_create(&s, DONE));
	strcpy(s.disks[0], "d0p2");
	MUST(pool_create(&s, DONE));
	assert_true(pool_disk_nth("p", 0, &disk));
	assert_string_equal(disk.name, "d0p2");
	MUST(volume_create("p", "v", EXTENT, DONE));
	s = spec_of("q", 0, 1);
	s.force = true;
	REFUSED(OPS_BUSY, "d0p2 belongs to pool p", pool_create(&s, DONE));
	MUST(pools_scan(DONE));
	assert_int_equal(size_of("p", "v"), EXTENT);
	for (uint64_t i = 512; i < (64u + 7000u) * 512; i++) /* what is not its own is as it was */
		assert_int_equal(fake_drive(0)->now[i], 0);
}

static void test_drive_goes(void **state)
{
	struct pool_info p;
	struct pool_disk_info disk;
	struct blkdev *b;

	(void)state;
	make_pool("p", 0, 2);
	MUST(volume_create("p", "v", 20u << 20, DONE));
	assert_int_equal(volume_use("p", "v", false, &b, &error), 0);
	fake_drive(1)->dev.gone = true;
	MUST(pools_scan(DONE));
	assert_int_equal(pool_info("p", &p, &error), 0);
	assert_true(p.read_only);
	assert_true(pool_disk_nth("p", 1, &disk));
	assert_true(disk.missing);
	assert_true(b->gone); /* it lies on both */
	volume_close(b);
	REFUSED(OPS_WRONG_STATE, "", volume_create("p", "w", EXTENT, DONE));
	REFUSED(OPS_WRONG_STATE, "lacks a disk", pool_delete("p", true, DONE));
	fake_drive(1)->dev.gone = false;
	MUST(pools_scan(DONE));
	MUST(volume_create("p", "w", EXTENT, DONE));
}

static void test_sectors(void **state)
{
	struct pool_spec s = spec_of("p", 2, 2);

	(void)state;
	fake_drive_add("d3", DRIVE_BYTES, 4096);
	MUST(pools_scan(DONE));
	REFUSED(OPS_WRONG_STATE, "d3 has sectors of 4096 bytes and d2 of 512",
		pool_create(&s, DONE));
	s.n_disks = 1;
	MUST(pool_create(&s, DONE));
	REFUSED(OPS_WRONG_STATE, "sectors of 4096", pool_extend("p", "d3", false, DONE));
	s = spec_of("q", 3, 1);
	MUST(pool_create(&s, DONE));
}

/* What is asked for at once is carried out in order. */
static void test_order(void **state)
{
	(void)state;
	make_pool("p", 0, 1);
	n_order = 0;
	assert_int_equal(volume_create("p", "a", EXTENT, in_order, (void *)1, &error), 0);
	assert_int_equal(volume_rename("p", "a", "b", in_order, (void *)2, &error), 0);
	assert_int_equal(volume_resize("p", "b", 2 * EXTENT, false, in_order, (void *)3, &error),
			 0);
	assert_int_equal(volume_rename("p", "b", "c", in_order, (void *)4, &error), 0);
	assert_int_equal(n_order, 0);
	fake_loop();
	assert_int_equal(n_order, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(order[i], i + 1);
	assert_int_equal(size_of("p", "c"), 2 * EXTENT);
}

/* ---- the power goes ---- */

static void describe(const struct lvm_vg *vg, char *out, size_t size)
{
	size_t n;

	n = (size_t)snprintf(out, size, "%s", vg ? "" : "-");
	for (uint32_t i = 0; vg && i < vg->lv_count; i++) {
		n += (size_t)snprintf(out + n, size - n, "%s", vg->lvs[i].name);
		for (uint32_t k = 0; k < vg->lvs[i].segments; k++) {
			const struct lvm_segment *s = &vg->segments[vg->lvs[i].segment + k];

			n += (size_t)snprintf(out + n, size - n, " %u+%u@%u:%u", s->start, s->count,
					      vg->areas[s->area].pv, vg->areas[s->area].pe);
		}
		n += (size_t)snprintf(out + n, size - n, ";");
	}
	if (vg)
		n += (size_t)snprintf(out + n, size - n, "%u", vg->pv_count);
	assert_true(n < size);
}

#define SEEN_MAX 4000u
static char seen[SEEN_MAX][300]; /* what was read after a cut, while an operation was under way */
static unsigned n_seen, cuts;
static uint8_t *after_cut[DRIVES];
static bool removal; /* physical volumes without a group are fine */

static void read_after_cut(char *out, size_t size)
{
	static unsigned seed;
	struct fake_machine m = {.count = DRIVES, .sector = fake_drive(0)->dev.sector_bytes};
	const struct lvm_vg *vg;

	for (unsigned i = 0; i < DRIVES; i++) {
		fake_drive_cut(fake_drive(i), EDGE, after_cut[i], ++seed * 2654435761u);
		m.bytes[i] = after_cut[i];
		m.size[i] = DRIVE_BYTES;
	}
	fake_scan(&m);
	vg = lvm_pool_find(&m.pool, "p");
	if (vg && vg->read_only && !removal)
		fail_msg("after a cut: %s", vg->why);
	describe(vg, out, size);
	fake_free(&m);
	cuts++;
}

static void cut_now(struct fake_drive *d, const struct blk_request *r)
{
	(void)d;
	(void)r;
	for (unsigned i = 0; i < 2; i++) {
		assert_true(n_seen < SEEN_MAX);
		read_after_cut(seen[n_seen++], sizeof(seen[0]));
	}
}

static char before[300], afterwards[300];

static void power_begin(void)
{
	describe(groups_vg("p"), before, sizeof(before));
	n_seen = 0;
	fake_drive_hook = cut_now;
}

/* Each cut on the way gave the one or the other; what is answered stays. */
static void power_end(const char *what)
{
	char now[300];

	fake_drive_hook = NULL;
	describe(groups_vg("p"), afterwards, sizeof(afterwards));
	assert_true(n_seen > 0);
	for (unsigned i = 0; i < n_seen; i++)
		if (strcmp(seen[i], before) != 0 && strcmp(seen[i], afterwards) != 0)
			fail_msg("%s: after a cut: %s\nbefore: %s\nafter: %s", what, seen[i],
				 before, afterwards);
	for (unsigned i = 0; i < 5; i++) {
		read_after_cut(now, sizeof(now));
		if (strcmp(now, afterwards) != 0)
			fail_msg("%s: answered, and lost: %s\nnot: %s", what, now, afterwards);
	}
}
#define POWER(call) (power_begin(), MUST(call), power_end(#call))

static void run_power(unsigned copies)
{
	struct pool_spec s = spec_of("p", 0, 2);

	cuts = 0;
	removal = false;
	for (unsigned i = 0; i < DRIVES; i++)
		after_cut[i] = malloc(DRIVE_BYTES);
	s.copies = copies;
	POWER(pool_create(&s, DONE));
	POWER(volume_create("p", "one", 40 * EXTENT, DONE));
	POWER(volume_create("p", "two", 200 * EXTENT, DONE));
	POWER(pool_extend("p", "d2", false, DONE));
	POWER(volume_resize("p", "one", 60 * EXTENT, false, DONE));
	POWER(volume_resize("p", "two", 10 * EXTENT, true, DONE));
	POWER(volume_rename("p", "one", "three", DONE));
	for (unsigned i = 0; i < 3; i++) {
		char name[8];

		snprintf(name, sizeof(name), "n%u", i);
		POWER(volume_create("p", name, (i + 1) * EXTENT, DONE));
	}
	POWER(volume_delete("p", "two", NULL, DONE));
	removal = true;
	POWER(pool_delete("p", true, DONE));
	assert_true(cuts > 200);
	for (unsigned i = 0; i < DRIVES; i++)
		free(after_cut[i]);
}

static void test_power(void **state)
{
	(void)state;
	run_power(1);
}

static void test_power_two_copies(void **state)
{
	(void)state;
	run_power(2);
}

/* ---- a drive fails ---- */

/* At each request of an operation in turn. What is answered is what the disks say when they can be read again. */
static void fail_each(const char *volume, uint64_t bytes, unsigned drive)
{
	unsigned in_force = 0, not_in_force = 0;

	for (unsigned n = 1;; n++) {
		struct fake_drive *d = fake_drive(drive);
		char now[300], then[300], name[32];
		int r;

		snprintf(name, sizeof(name), "%s%u", volume, n);
		d->requests = 0;
		d->fail_at = n;
		r = RUN(volume_create("p", name, bytes, DONE));
		d->fail_at = 0;
		if (r == 0)
			break;
		assert_int_equal(error.code, OPS_IO);
		MUST(pools_scan(DONE));
		describe(groups_vg("p"), now, sizeof(now));
		MUST(pools_scan(DONE));
		describe(groups_vg("p"), then, sizeof(then));
		assert_string_equal(now, then);
		assert_false(groups_vg("p")->read_only);
		if (lvm_lv_find(groups_vg("p"), name)) {
			in_force++;
			MUST(volume_delete("p", name, NULL, DONE));
		} else {
			not_in_force++;
		}
		assert_true(n < 100);
	}
	assert_true(not_in_force > 0);
	if (drive == 1) /* the first one has it then */
		assert_true(in_force > 0);
}

static void test_drive_fails(void **state)
{
	(void)state;
	make_pool("p", 0, 2);
	fail_each("a", EXTENT, 0);
	fail_each("b", EXTENT, 1);
}

/* What could not be made has left nothing that is in the way. */
static void test_create_fails(void **state)
{
	struct pool_spec s = spec_of("p", 0, 2);

	(void)state;
	s.force = true;
	for (unsigned n = 1;; n++) {
		fake_drive(1)->requests = 0;
		fake_drive(1)->fail_at = n;
		if (RUN(pool_create(&s, DONE)) == 0)
			break;
		fake_drive(1)->fail_at = 0;
		assert_int_equal(error.code, OPS_IO);
		MUST(pools_scan(DONE));
		if (groups_vg("p"))
			MUST(pool_delete("p", true, DONE));
		assert_true(n < 100);
	}
	fake_drive(1)->fail_at = 0;
	MUST(volume_create("p", "v", EXTENT, DONE));
}

/* ---- memory ---- */

static void ram_dies(void)
{
	for (unsigned i = 0; i < RAM_VOLUMES_MAX; i++) {
		if (ram_volume(i)->mem)
			hv_handle_close(ram_volume(i)->mem);
		*ram_volume(i) = (struct ram_volume){.mem = 0};
	}
}

static void ram_restarts(void)
{
	ram_dies();
	keep_ram_init();
}

static void test_ram(void **state)
{
	uint64_t pages;

	(void)state;
	keep_ram_init();
	pages = fake_free_pages();
	MUST(volume_create("ram", "a", 10000, DONE));
	MUST(volume_create("ram", "b", 40u << 20, DONE));
	assert_int_equal(fake_free_pages(), pages - 3 - (10u << 10));
	REFUSED(OPS_EXISTS, "exists", volume_create("ram", "a", 1, DONE));
	REFUSED(OPS_NO_SPACE, "spare", volume_create("ram", "c", 1ull << 40, DONE));
	REFUSED(OPS_NO_SPACE, "spare", volume_create("ram", "c", UINT64_MAX, DONE));
	MUST(volume_resize("ram", "a", 20000, false, DONE));
	REFUSED(OPS_UNSUPPORTED, "smaller", volume_resize("ram", "a", 1, true, DONE));
	MUST(volume_rename("ram", "a", "c", DONE));
	REFUSED(OPS_UNSUPPORTED, "ram", pool_delete("ram", true, DONE));
	REFUSED(OPS_UNSUPPORTED, "ram", pool_extend("ram", "d0", true, DONE));
	ram_restarts();
	assert_int_equal(size_of("ram", "c"), 20480);
	assert_int_equal(size_of("ram", "b"), 40u << 20);
	assert_int_equal(size_of("ram", "a"), 0);
	MUST(volume_delete("ram", "b", NULL, DONE));
	ram_restarts();
	assert_int_equal(size_of("ram", "b"), 0);
	MUST(volume_delete("ram", "c", NULL, DONE));
	assert_int_equal(fake_free_pages(), pages);
	for (unsigned i = 0; i < RAM_VOLUMES_MAX; i++) {
		char name[8];

		snprintf(name, sizeof(name), "v%u", i);
		MUST(volume_create("ram", name, 1, DONE));
	}
	REFUSED(OPS_LIMIT, "64", volume_create("ram", "more", 1, DONE));
	ram_dies();
}

/* The instance before wrote where it should not: what makes no sense is dropped, the rest is there. */
static void test_ram_damaged(void **state)
{
	uint64_t table;
	uint8_t *at;
	unsigned dropped = 0;

	(void)state;
	keep_ram_init();
	for (unsigned i = 0; i < 800; i++) {
		uint32_t *word;

		if (size_of("ram", "a") == 0)
			MUST(volume_create("ram", "a", 5 * HV_PAGE_SIZE, DONE));
		if (size_of("ram", "b") == 0)
			MUST(volume_create("ram", "b", 6 * HV_PAGE_SIZE, DONE));
		assert_int_equal(hv_mem_kept(KEEP_SLOT_RAM, &table), 0);
		at = rt_mem_map((uint32_t)table, 0, 3, HVP_READ | HVP_WRITE);
		hv_handle_close((uint32_t)table);
		word = (uint32_t *)(void *)(at + 16) + i % 40; /* the first record */
		*word ^= i < 40 ? 0xffffffffu : 1u << i % 32;
		rt_mem_unmap(at, 3);
		ram_restarts();
		assert_true(size_of("ram", "b") == 6 * HV_PAGE_SIZE || ram_volume(0)->bytes == 0 ||
			    strcmp(ram_volume(0)->name, "b") == 0);
		dropped += size_of("ram", "a") == 0;
		for (unsigned k = 0; k < 2; k++)
			assert_true(ram_volume(k)->bytes <= 6 * HV_PAGE_SIZE);
	}
	assert_in_range(dropped, 10, 790); /* most of a record is not read, or may be anything */
	ram_dies();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unread, setup_unread, teardown),
		T(test_changes),
		T(test_refused),
		T(test_signatures),
		T(test_partitions),
		T(test_drive_goes),
		T(test_sectors),
		T(test_order),
		T(test_power),
		cmocka_unit_test_setup_teardown(test_power_two_copies, setup_4096, teardown),
		T(test_drive_fails),
		T(test_create_fails),
		cmocka_unit_test_setup_teardown(test_ram, setup, teardown_ram),
		cmocka_unit_test_setup_teardown(test_ram_damaged, setup, teardown_ram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
