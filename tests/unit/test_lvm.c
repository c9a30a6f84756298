/* SPDX-License-Identifier: BSD-2-Clause */
/* Disks of volume groups: what is on them, disks that are missing, double, damaged or too small, and plans that fail. */
// SRC: ctrl-kernel/blk/crc32.c
// SRC: ctrl-kernel/blk/lvm/change.c
// SRC: ctrl-kernel/blk/lvm/commit.c
// SRC: ctrl-kernel/blk/lvm/disk.c
// SRC: ctrl-kernel/blk/lvm/doc.c
// SRC: ctrl-kernel/blk/lvm/doc_edit.c
// SRC: ctrl-kernel/blk/lvm/gaps.c
// SRC: ctrl-kernel/blk/lvm/map.c
// SRC: ctrl-kernel/blk/lvm/names.c
// SRC: ctrl-kernel/blk/lvm/pool.c
// SRC: ctrl-kernel/blk/lvm/scan.c
// SRC: ctrl-kernel/blk/lvm/used.c
// SRC: ctrl-kernel/blk/lvm/vg.c
// SRC: ctrl-kernel/blk/lvm/volumes.c
// SRC: ctrl-kernel/blk/sort.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "ctrl-kernel/blk/crc32.h"
#include "ctrl-kernel/blk/le.h"
#include "ctrl-kernel/blk/sort.h"
#include "tests/unit/lvm_fakes.h"

#define DISK_BYTES (16u << 20)
#define AREA 4096u /* where the first metadata area begins */

static struct fake_machine m;
static struct lvm_why why;

/* ---- a machine of two disks with one group of both, and one disk that is blank ---- */

static void make_group(const char *name, const unsigned *which, unsigned count, unsigned mdas)
{
	struct lvm_stamp stamp = fake_stamp("test");
	struct lvm_vg *vg;

	for (unsigned i = 0; i < count; i++)
		assert_int_equal(
			lvm_disk_make(&m.disk[which[i]], fake_stamp("").random, mdas, &why), 0);
	if (lvm_vg_create(name, 512, m.disks, which, count, &stamp, &vg, &why) ||
	    fake_commit(&m, vg, &why))
		fail_msg("%s", why.text);
	lvm_vg_free(vg);
	fake_scan(&m);
}

static int setup_sector(uint32_t sector, unsigned mdas)
{
	static const unsigned both[] = {0, 1};

	memset(&m, 0, sizeof(m));
	m.count = 3;
	m.sector = sector;
	for (unsigned i = 0; i < m.count; i++) {
		m.size[i] = DISK_BYTES;
		m.bytes[i] = calloc(1, DISK_BYTES);
	}
	fake_scan(&m);
	make_group("vg", both, 2, mdas);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return setup_sector(512, 1);
}

static int setup_two_areas(void **state)
{
	(void)state;
	return setup_sector(4096, 2);
}

static int teardown(void **state)
{
	(void)state;
	fake_free(&m);
	for (unsigned i = 0; i < m.count; i++)
		free(m.bytes[i]);
	return 0;
}

static struct lvm_vg *group(const char *name)
{
	return lvm_pool_find(&m.pool, name);
}

static void create(const char *name, uint32_t extents)
{
	const struct lvm_request r = {.vg = group("vg"), .stamp = fake_stamp("test")};
	struct lvm_vg *next;

	if (lvm_lv_create(&r, name, extents, &next, &why) || fake_commit(&m, next, &why))
		fail_msg("%s", why.text);
	lvm_vg_free(next);
	fake_scan(&m);
}

static void says(const struct lvm_vg *vg, bool refused, const char *words)
{
	assert_non_null(vg);
	assert_true(vg->read_only);
	assert_int_equal(vg->refused, refused);
	if (!strstr(vg->why, words))
		fail_msg("'%s' has no '%s'", vg->why, words);
}

/* ---- what is on a disk ---- */

static void test_crc(void **state)
{
	(void)state;
	/* the check value of CRC-32, and LVM2's start value */
	assert_int_equal(~crc32_go(~0u, "123456789", 9), 0xcbf43926);
	assert_int_equal(lvm_crc("", 0), 0xf597a6cf);
}

static int by_value(const void *a, const void *b)
{
	return memcmp(a, b, 3);
}

static void test_sort(void **state)
{
	uint8_t a[200][3];
	unsigned sum = 0;

	(void)state;
	for (unsigned count = 0; count <= 200; count++) {
		for (unsigned i = 0; i < count; i++)
			for (unsigned k = 0; k < 3; k++)
				a[i][k] = (uint8_t)((i * 73 + k * 11 + count) % 23);
		for (unsigned i = 0; i < count; i++)
			sum += a[i][0] + a[i][1] * 256u + a[i][2];
		heap_sort(a, count, 3, by_value);
		for (unsigned i = 0; i < count; i++)
			sum -= a[i][0] + a[i][1] * 256u + a[i][2];
		for (unsigned i = 1; i < count; i++)
			assert_true(by_value(a[i - 1], a[i]) <= 0);
	}
	assert_int_equal(sum, 0);
}

static void test_made(void **state)
{
	const struct lvm_vg *vg = group("vg");

	(void)state;
	assert_non_null(vg);
	assert_false(vg->read_only);
	assert_int_equal(vg->seqno, 1);
	assert_int_equal(vg->pv_count, 2);
	assert_int_equal(vg->pvs[0].pe_start, 2048);
	assert_int_equal(vg->pvs[0].pe_count, 15 * 4);
	assert_int_equal(m.disk[0].vg, 0);
	assert_int_equal(m.disk[2].vg, -1);
	assert_false(m.disk[2].is_pv);
	assert_string_equal(m.disk[2].why, "");
}

static void test_two_areas(void **state)
{
	(void)state;
	assert_int_equal(m.disk[0].mdas, 2);
	assert_int_equal(m.disk[0].mda[1].start, 15 << 20);
	assert_int_equal(group("vg")->pvs[0].pe_count, 14 * 4);
	create("one", 3);
	memset(m.bytes[0] + AREA, 0, 512);
	memset(m.bytes[1] + AREA, 0, 512);
	memset(m.bytes[1] + (15 << 20), 0, 512);
	fake_scan(&m);
	assert_non_null(lvm_lv_find(group("vg"), "one"));
	assert_int_equal(group("vg")->stale, 3);
}

static void test_label(void **state)
{
	static const struct {
		uint32_t at;
		const char *why;
	} cases[] = {{512 + 8, "another sector"}, {512 + 20, "checksum"}, {512 + 40, "checksum"}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		m.bytes[0][cases[i].at] ^= 1;
		fake_scan(&m);
		assert_false(m.disk[0].is_pv);
		if (!strstr(m.disk[0].why, cases[i].why))
			fail_msg("'%s' has no '%s'", m.disk[0].why, cases[i].why);
		says(group("vg"), false, "missing");
		m.bytes[0][cases[i].at] ^= 1;
	}
}

/* A label with a good checksum and wild contents. */
static void test_wild_label(void **state)
{
	static const struct {
		uint32_t at;
		uint64_t value;
		const char *why;
	} cases[] = {
		{512 + 20, 480, "outside"},
		{512 + 32 + 40 + 32, 1ull << 60, "not on the disk"},
		{512 + 32 + 40 + 32, 512, "not on the disk"},
		{512 + 32 + 40 + 32 + 8, UINT64_MAX, "not on the disk"},
		{512 + 32, 0x2020202020202020, "id is none"},
	};
	uint8_t saved[512];

	(void)state;
	memcpy(saved, m.bytes[0] + 512, 512);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t *s = m.bytes[0] + 512;

		memcpy(s, saved, 512);
		if (i == 0)
			le32_put(m.bytes[0] + cases[i].at, (uint32_t)cases[i].value);
		else
			le64_put(m.bytes[0] + cases[i].at, cases[i].value);
		le32_put(s + 16, lvm_crc(s + 20, 492));
		fake_scan(&m);
		assert_false(m.disk[0].is_pv);
		if (!strstr(m.disk[0].why, cases[i].why))
			fail_msg("%u: '%s' has no '%s'", i, m.disk[0].why, cases[i].why);
	}
}

/* ---- which text counts ---- */

static void test_newest_text(void **state)
{
	uint8_t *old = malloc(1 << 20);

	(void)state;
	memcpy(old, m.bytes[1], 1 << 20);
	create("one", 3);
	memcpy(m.bytes[1], old, 1 << 20); /* disk 1 did not hear of it */
	fake_scan(&m);
	assert_int_equal(group("vg")->seqno, 2);
	assert_non_null(lvm_lv_find(group("vg"), "one"));
	assert_int_equal(group("vg")->stale, 1);
	assert_false(group("vg")->read_only);
	create("two", 3); /* mends it */
	assert_int_equal(group("vg")->stale, 0);
	assert_int_equal(m.disk[1].mda[0].seqno, 3);
	free(old);
}

static void test_damaged_text(void **state)
{
	(void)state;
	create("one", 3);
	m.bytes[0][AREA + m.disk[0].mda[0].at + 20] ^= 1;
	fake_scan(&m);
	assert_int_equal(m.disk[0].mda[0].state, LVM_MDA_BAD);
	assert_non_null(strstr(m.disk[0].mda[0].why, "checksum"));
	assert_int_equal(group("vg")->seqno, 2);
	m.bytes[1][AREA + m.disk[1].mda[0].at + 20] ^= 1;
	fake_scan(&m);
	assert_null(group("vg"));
}

static void test_two_minds(void **state)
{
	uint8_t *old = malloc(1 << 20), *one = malloc(1 << 20);

	(void)state;
	memcpy(old, m.bytes[0], 1 << 20);
	create("one", 3);
	memcpy(one, m.bytes[0], 1 << 20);
	memcpy(m.bytes[0], old, 1 << 20);
	memcpy(old, m.bytes[1], 1 << 20); /* disk 1 with "one" */
	memset(m.bytes[1] + AREA, 0, 512);
	fake_scan(&m);
	create("other", 3); /* on disk 0 only */
	memcpy(m.bytes[1], old, 1 << 20);
	fake_scan(&m);
	says(group("vg"), true, "two different texts of seqno 2");
	free(old);
	free(one);
}

static void test_ignored_area(void **state)
{
	uint8_t *h = m.bytes[0] + AREA;

	(void)state;
	h[40 + 20] |= 1;
	le32_put(h, lvm_crc(h + 4, 508));
	fake_scan(&m);
	assert_int_equal(m.disk[0].mda[0].state, LVM_MDA_IGNORED);
	create("one", 1);
	assert_int_equal(m.disk[0].mda[0].state, LVM_MDA_IGNORED);
	assert_int_equal(m.disk[1].mda[0].seqno, 2);
	assert_false(group("vg")->read_only);
}

/* ---- disks ---- */

static void test_put_new(void **state)
{
	static const unsigned third[] = {2};
	struct lvm_stamp stamp = fake_stamp("test");
	struct lvm_vg *next;

	(void)state;
	assert_int_equal(lvm_disk_make(&m.disk[2], fake_stamp("").random, 1, &why), 0);
	assert_int_equal(lvm_vg_create("new", 512, m.disks, third, 1, &stamp, &next, &why), 0);
	assert_int_equal(fake_commit(&m, next, &why), 0);
	assert_int_equal(lvm_pool_put(&m.pool, m.disks, next), 0);
	assert_int_equal(m.pool.count, 2);
	assert_ptr_equal(group("new"), next);
	assert_int_equal(m.disk[2].vg, 1);
	assert_int_equal(m.disk[0].vg, 0);
}

static void test_missing_disk(void **state)
{
	const struct lvm_request r = {.stamp = fake_stamp("test")};
	struct lvm_request now = r;
	struct lvm_vg *next = NULL;

	(void)state;
	create("here", 5);    /* on disk 0 */
	create("there", 100); /* on both */
	m.count = 1;
	fake_scan(&m);
	says(group("vg"), false, "missing");
	assert_true(lvm_lv_find(group("vg"), "here")->supported);
	assert_false(lvm_lv_find(group("vg"), "there")->supported);
	assert_non_null(strstr(lvm_lv_find(group("vg"), "there")->why, "missing"));
	now.vg = group("vg");
	assert_int_equal(lvm_lv_delete(&now, "here", &next, &why), -HVE_STATE);
	m.count = 3;
	fake_scan(&m);
	assert_false(group("vg")->read_only);
}

static void test_same_disk_twice(void **state)
{
	(void)state;
	memcpy(m.bytes[2], m.bytes[1], DISK_BYTES);
	fake_scan(&m);
	says(group("vg"), true, "disk1 and disk2 are both");
}

static void test_same_name_twice(void **state)
{
	static const unsigned third[] = {2};

	(void)state;
	make_group("vg", third, 1, 1);
	assert_int_equal(m.pool.count, 2);
	says(m.pool.vgs[0], true, "two volume groups are named vg");
	says(m.pool.vgs[1], true, "two volume groups are named vg");
}

/* A disk that went over to another group while the rest of its first one was away. */
static void test_disk_of_another_group(void **state)
{
	uint8_t *first = malloc(1 << 20), label[512];
	static const unsigned one[] = {1};

	(void)state;
	memcpy(label, m.bytes[1] + 512, 512);
	memcpy(first, m.bytes[0], 1 << 20);
	make_group("other", one, 1, 1);
	memcpy(m.bytes[1] + 512, label, 512); /* with the identity that vg knows */
	fake_scan(&m);
	says(group("vg"), false, "now in another volume group");
	free(first);
}

static void test_disk_too_small(void **state)
{
	(void)state;
	m.size[1] = DISK_BYTES / 2;
	fake_scan(&m);
	says(group("vg"), true, "disk1 is smaller");
	m.size[1] = DISK_BYTES;
}

static void test_extend(void **state)
{
	const struct lvm_request r = {.vg = group("vg"), .stamp = fake_stamp("test")};
	struct lvm_vg *next;

	(void)state;
	assert_int_equal(lvm_vg_extend(&r, &m.disk[2], 2, &next, &why), -HVE_STATE);
	assert_int_equal(lvm_disk_make(&m.disk[2], fake_stamp("").random, 1, &why), 0);
	assert_int_equal(lvm_vg_extend(&r, &m.disk[2], 2, &next, &why), 0);
	assert_int_equal(fake_commit(&m, next, &why), 0);
	assert_int_equal(lvm_pool_put(&m.pool, m.disks, next), 0);
	for (unsigned i = 0; i < 2; i++) { /* as it was put, and as it is read again */
		assert_int_equal(m.pool.count, 1);
		assert_int_equal(group("vg")->pv_count, 3);
		assert_int_equal(m.disk[2].vg, 0);
		assert_int_equal(m.disk[2].mda[0].seqno, 2);
		assert_false(group("vg")->read_only);
		fake_scan(&m);
	}
	assert_int_equal(lvm_free_extents(group("vg")), 180);
	create("all", 180);
	assert_int_equal(lvm_lv_find(group("vg"), "all")->segments, 3);
	assert_int_equal(lvm_free_extents(group("vg")), 0);
}

/* ---- reads and plans that fail ---- */

/* Whatever cannot be read, the scan ends and the other disk's text serves. */
static void test_unreadable(void **state)
{
	(void)state;
	create("one", 3);
	for (unsigned bad = 0; bad < 4; bad++) {
		struct lvm_scan scan;

		lvm_disk_free(&m.disk[0]);
		assert_int_equal(lvm_disk_init(&m.disk[0], "disk0", DISK_BYTES, 512), 0);
		assert_int_equal(lvm_scan_begin(&scan, &m.disk[0]), 0);
		for (unsigned n = 0; lvm_scan_next(&scan)->op != STEP_END; n++) {
			assert_in_range(n, 0, 10);
			fake_step(&m, 0, lvm_scan_next(&scan));
			lvm_scan_done(&scan, n != bad);
		}
		lvm_scan_end(&scan);
		assert_int_equal(m.disk[0].is_pv, bad != 0);
		if (bad == 1 || bad == 2)
			assert_int_equal(m.disk[0].mda[0].state, LVM_MDA_BAD);
		if (bad == 3)
			assert_int_equal(m.disk[0].mda[0].state, LVM_MDA_GOOD);
	}
}

static void test_failed_plan(void **state)
{
	const struct lvm_request r = {.vg = group("vg"), .stamp = fake_stamp("test")};
	struct lvm_vg *next;
	unsigned outcomes[3] = {0};

	(void)state;
	assert_int_equal(lvm_lv_create(&r, "one", 3, &next, &why), 0);
	for (unsigned bad = 0; outcomes[LVM_NEW] == 0; bad++) {
		struct lvm_plan plan;
		struct step s;
		unsigned n = 0;

		assert_int_equal(lvm_plan_make(&plan, next, m.disks, &why), 0);
		for (s = lvm_plan_next(&plan); s.op != STEP_END; s = lvm_plan_next(&plan))
			lvm_plan_done(&plan, n++ != bad);
		outcomes[lvm_plan_outcome(&plan)]++;
		lvm_plan_free(&plan);
	}
	/* two texts, two flushes; header, flush, header, flush */
	assert_int_equal(outcomes[LVM_OLD], 4);
	assert_int_equal(outcomes[LVM_UNKNOWN], 4);
	lvm_vg_free(next);
}

static void test_text_too_long(void **state)
{
	const struct lvm_request r = {.vg = group("vg"), .stamp = fake_stamp("test")};
	struct lvm_vg *next;
	struct lvm_plan plan;

	(void)state;
	m.disk[1].mda[0].size = 8192;
	assert_int_equal(lvm_lv_create(&r, "one", 3, &next, &why), 0);
	m.disk[1].mda[0].bytes = 6000;
	assert_int_equal(lvm_plan_make(&plan, next, m.disks, &why), -HVE_LIMIT);
	assert_non_null(strstr(why.text, "disk1 has no room"));
	lvm_vg_free(next);
}

static void test_no_area(void **state)
{
	const struct lvm_request r = {.vg = group("vg"), .stamp = fake_stamp("test")};
	struct lvm_vg *next;
	struct lvm_plan plan;

	(void)state;
	m.disk[0].mda[0].writable = false;
	m.disk[1].mda[0].writable = false;
	assert_int_equal(lvm_lv_create(&r, "one", 3, &next, &why), 0);
	assert_int_equal(lvm_plan_make(&plan, next, m.disks, &why), -HVE_STATE);
	lvm_vg_free(next);
}

static void test_small_disks(void **state)
{
	struct lvm_disk d;

	(void)state;
	assert_int_equal(lvm_disk_init(&d, "x", 1 << 19, 512), -HVE_INVAL);
	assert_int_equal(lvm_disk_init(&d, "x", 1 << 30, 520), -HVE_INVAL);
	assert_int_equal(lvm_disk_init(&d, "x", 4 << 20, 512), 0);
	assert_int_equal(lvm_disk_make(&d, fake_stamp("").random, 1, &why), -HVE_LIMIT);
}

#define ON_TWO_DISKS(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc),
		cmocka_unit_test(test_sort),
		ON_TWO_DISKS(test_made),
		cmocka_unit_test_setup_teardown(test_two_areas, setup_two_areas, teardown),
		ON_TWO_DISKS(test_label),
		ON_TWO_DISKS(test_wild_label),
		ON_TWO_DISKS(test_newest_text),
		ON_TWO_DISKS(test_damaged_text),
		ON_TWO_DISKS(test_two_minds),
		ON_TWO_DISKS(test_ignored_area),
		ON_TWO_DISKS(test_put_new),
		ON_TWO_DISKS(test_missing_disk),
		ON_TWO_DISKS(test_same_disk_twice),
		ON_TWO_DISKS(test_same_name_twice),
		ON_TWO_DISKS(test_disk_of_another_group),
		ON_TWO_DISKS(test_disk_too_small),
		ON_TWO_DISKS(test_extend),
		ON_TWO_DISKS(test_unreadable),
		ON_TWO_DISKS(test_failed_plan),
		ON_TWO_DISKS(test_text_too_long),
		ON_TWO_DISKS(test_no_area),
		cmocka_unit_test(test_small_disks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
