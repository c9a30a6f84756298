/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Power cuts while a group is made, extended and changed. At every step of every plan the power goes, many times: of the
 * writes since the last flush of a disk any sectors are there, the others are not. What is read then is the group before or
 * the group after, and it can be changed again.
 */
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
#include "tests/unit/lvm_fakes.h"

#define DISKS 3u
#define DISK_BYTES (16u << 20)
#define EDGE (2u << 20)
#define CUTS 6u /* at each step */

/* What may be lost: writes of a disk since its last flush. */
struct pending {
	struct step step;
	uint8_t *bytes;
};

static struct fake_machine m; /* bytes: what is certainly on the media */
static uint8_t *torn[DISKS];  /* what is there after a cut */
static struct pending pending[64];
static unsigned pending_count;
static uint64_t seed = 1;

static uint32_t dice(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33);
}

static void machine_make(uint32_t sector)
{
	memset(&m, 0, sizeof(m));
	m.count = DISKS;
	m.sector = sector;
	for (unsigned i = 0; i < DISKS; i++) {
		m.size[i] = DISK_BYTES;
		m.bytes[i] = malloc(DISK_BYTES);
		torn[i] = malloc(DISK_BYTES);
		memset(m.bytes[i], 0xa5, DISK_BYTES); /* a used disk */
		memset(torn[i], 0xa5, DISK_BYTES);
	}
	fake_scan(&m);
}

static void machine_free(void)
{
	fake_free(&m);
	for (unsigned i = 0; i < DISKS; i++) {
		free(m.bytes[i]);
		free(torn[i]);
	}
}

/* ---- a group in a word ---- */

/* Members and volumes with their segments; "-" when there is no group. */
static void describe(const struct lvm_vg *vg, char *out, size_t size)
{
	size_t n = 0;

	snprintf(out, size, "-");
	if (!vg)
		return;
	n = (size_t)snprintf(out, size, "%u:%u;", (unsigned)vg->seqno, vg->pv_count);
	for (uint32_t i = 0; i < vg->lv_count; i++) {
		n += (size_t)snprintf(out + n, size - n, "%s", vg->lvs[i].name);
		for (uint32_t k = 0; k < vg->lvs[i].segments; k++) {
			const struct lvm_segment *s = &vg->segments[vg->lvs[i].segment + k];

			n += (size_t)snprintf(out + n, size - n, " %u+%u@%u:%u", s->start, s->count,
					      vg->areas[s->area].pv, vg->areas[s->area].pe);
		}
	}
	assert_true(n < size);
}

/* ---- cuts ---- */

static void apply(const struct pending *p, uint8_t *const disks[], bool whole)
{
	for (uint32_t at = 0; at < p->step.bytes; at += m.sector)
		if (whole || dice() % 2)
			memcpy(disks[p->step.disk] + p->step.offset + at, p->bytes + at, m.sector);
}

/* A flush: all pending of that disk are on its medium. */
static void settle(unsigned disk)
{
	unsigned left = 0;

	for (unsigned i = 0; i < pending_count; i++) {
		if (pending[i].step.disk != disk) {
			pending[left++] = pending[i];
			continue;
		}
		apply(&pending[i], m.bytes, true);
		free(pending[i].bytes);
	}
	pending_count = left;
}

static void later(const struct step *s)
{
	assert_true(pending_count < ARRAY_SIZE(pending));
	pending[pending_count] = (struct pending){.step = *s, .bytes = malloc(s->bytes)};
	memcpy(pending[pending_count++].bytes, s->buf, s->bytes);
}

static void change_again(struct fake_machine *after)
{
	struct lvm_vg *vg = lvm_pool_find(&after->pool, "vg"), *next;
	const struct lvm_request r = {.vg = vg, .stamp = fake_stamp("after")};
	struct lvm_why why = {""};

	if (!vg)
		return;
	if (lvm_lv_create(&r, "after", 1, &next, &why) || fake_commit(after, next, &why))
		fail_msg("%s", why.text);
	lvm_vg_free(next);
	fake_scan(after);
	vg = lvm_pool_find(&after->pool, "vg");
	assert_non_null(vg);
	assert_non_null(lvm_lv_find(vg, "after"));
	assert_int_equal(vg->stale, 0);
}

/* The power is back: with any part of what was pending, and of the order in which it went. */
static void cut(const char *before, const char *afterwards, bool committing)
{
	struct fake_machine after = {.count = DISKS, .sector = m.sector};
	const struct lvm_vg *vg;
	char now[4096];
	unsigned mode = dice() % 6;

	for (unsigned i = 0; i < DISKS; i++) {
		after.bytes[i] = torn[i];
		after.size[i] = DISK_BYTES;
		memcpy(torn[i], m.bytes[i], EDGE); /* nothing else is written */
		memcpy(torn[i] + DISK_BYTES - EDGE, m.bytes[i] + DISK_BYTES - EDGE, EDGE);
	}
	for (unsigned i = 0; i < pending_count; i++) {
		const struct pending *p = &pending[mode % 2 ? i : pending_count - 1 - i];

		if (mode < 2 || dice() % 2)
			apply(p, torn, mode < 4);
	}
	fake_scan(&after);
	vg = lvm_pool_find(&after.pool, "vg");
	describe(vg, now, sizeof(now));
	if (strcmp(now, before) != 0 && (!committing || strcmp(now, afterwards) != 0))
		fail_msg("after a cut: %s\nbefore: %s\nafter: %s", now, before, afterwards);
	if (vg && vg->read_only)
		fail_msg("after a cut: %s", vg->why);
	for (unsigned i = 0; i < DISKS; i++) /* a label comes after its areas */
		for (unsigned k = 0; k < after.disk[i].mdas; k++)
			assert_int_not_equal(after.disk[i].mda[k].state, LVM_MDA_BAD);
	change_again(&after);
	fake_free(&after);
}

/* Carries out a plan; before each step the power goes some times. */
static void commit(const struct lvm_vg *old, const struct lvm_vg *next)
{
	struct lvm_plan plan;
	struct lvm_why why = {""};
	char before[4096], afterwards[4096];

	describe(old, before, sizeof(before));
	describe(next, afterwards, sizeof(afterwards));
	if (lvm_plan_make(&plan, next, m.disks, &why))
		fail_msg("%s", why.text);
	for (;;) {
		struct step s = lvm_plan_next(&plan);

		if (s.op == STEP_END)
			break;
		if (s.op == STEP_WRITE)
			later(&s);
		for (unsigned i = 0; i < CUTS; i++)
			cut(before, afterwards,
			    lvm_plan_outcome(&plan) != LVM_OLD || plan.at >= plan.commit);
		if (s.op == STEP_FLUSH)
			settle(s.disk);
		lvm_plan_done(&plan, true);
	}
	assert_int_equal(lvm_plan_outcome(&plan), LVM_NEW);
	assert_int_equal(pending_count, 0);
	cut(afterwards, afterwards, true);
	lvm_plan_free(&plan);
}

static void change(struct lvm_vg **vg, int r, struct lvm_vg *next, const struct lvm_why *why)
{
	if (r)
		fail_msg("%s", why->text);
	commit(*vg, next);
	lvm_vg_free(*vg);
	*vg = next;
}

static void run(uint32_t sector, unsigned mdas)
{
	static const unsigned both[] = {0, 1};
	struct lvm_vg *vg = NULL, *next = NULL;
	struct lvm_why why = {""};
	struct lvm_request r;
	struct lvm_stamp stamp = fake_stamp("test");
	int rc;

	machine_make(sector);
	for (unsigned i = 0; i < DISKS; i++)
		assert_int_equal(lvm_disk_make(&m.disk[i], fake_stamp("").random, mdas, &why), 0);
	rc = lvm_vg_create("vg", 512, m.disks, both, 2, &stamp, &next, &why);
	change(&vg, rc, next, &why);
	r = (struct lvm_request){.vg = vg, .stamp = fake_stamp("test")};
	rc = lvm_lv_create(&r, "one", 40, &next, &why);
	change(&vg, rc, next, &why);
	r.vg = vg;
	rc = lvm_vg_extend(&r, &m.disk[2], 2, &next, &why);
	change(&vg, rc, next, &why);
	r = (struct lvm_request){.vg = vg, .stamp = fake_stamp("test")};
	rc = lvm_lv_create(&r, "two", 45, &next, &why);
	change(&vg, rc, next, &why);
	r.vg = vg;
	rc = lvm_lv_resize(&r, "one", 10, &next, &why);
	change(&vg, rc, next, &why);
	r.vg = vg;
	rc = lvm_lv_delete(&r, "two", &next, &why);
	change(&vg, rc, next, &why);
	lvm_vg_free(vg);
	machine_free();
}

static void test_512(void **state)
{
	(void)state;
	run(512, 1);
}

static void test_4096_two_areas(void **state)
{
	(void)state;
	run(4096, 2);
}

/* ---- the ring goes round, with cuts at each step of each round ---- */

static void rounds(uint32_t sector)
{
	static const unsigned only[] = {0};
	struct lvm_vg *vg = NULL, *next = NULL;
	struct lvm_why why = {""};
	struct lvm_stamp stamp = fake_stamp("test");
	unsigned wrapped = 0;
	int rc;

	machine_make(sector);
	assert_int_equal(lvm_disk_make(&m.disk[0], fake_stamp("").random, 1, &why), 0);
	m.disk[0].mda[0].size = 10 * 4096; /* a short ring */
	lvm_mda_write(m.disk[0].mda[0].first, 4096, 10 * 4096, 0, 0, 0);
	rc = lvm_vg_create("vg", 8, m.disks, only, 1, &stamp, &next, &why);
	change(&vg, rc, next, &why);
	for (unsigned i = 0; i < 70; i++) {
		const struct lvm_request r = {.vg = vg, .stamp = fake_stamp("test")};
		char name[32];

		snprintf(name, sizeof(name), "volume-%u", i % 29);
		rc = lvm_lv_find(vg, name) ? lvm_lv_delete(&r, name, &next, &why)
					   : lvm_lv_create(&r, name, 1 + i, &next, &why);
		change(&vg, rc, next, &why);
		wrapped += m.disk[0].mda[0].at + m.disk[0].mda[0].bytes > m.disk[0].mda[0].size;
	}
	assert_in_range(wrapped, 1, 30);
	lvm_vg_free(vg);
	machine_free();
}

static void test_rounds_512(void **state)
{
	(void)state;
	rounds(512);
}

static void test_rounds_4096(void **state)
{
	(void)state;
	rounds(4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_512),
		cmocka_unit_test(test_4096_two_areas),
		cmocka_unit_test(test_rounds_512),
		cmocka_unit_test(test_rounds_4096),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
