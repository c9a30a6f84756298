/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/mm/mem.c
// SRC: hv/mm/pool.c
// SRC: hv/mm/pt.c
// SRC: hv/mm/frame.c
// SRC: hv/mm/frame_init.c
/* Memory objects: growth, large pages, DMA runs, failure at every point, mapping all or nothing, exact counts. */
#include "tests/unit/mm_fakes.h"

#include "hv/cpu/cpu.h"
#include "hv/mm/mem.h"

#define MODULE (10 * MIB)

static struct account payer;
static uint64_t root_of_hv[512];
uint64_t *hv_pml4 = root_of_hv;
static struct frame_stats before;
struct cpu_features cpu_features = {.page1g = true};

static int setup(void **state)
{
	(void)state;
	arena_make();
	frame_add_ram(1 * MIB, 128 * MIB);
	frame_add_ram(4096 * MIB + 512 * MIB, 4096 * MIB + 2048 * MIB); /* one whole GiB in it */
	frame_reserve(MODULE, MODULE + 100 * PAGE_SIZE);
	frame_init_done();
	return 0;
}

static int start(void **state)
{
	(void)state;
	frame_stats(&before);
	payer.limit = 0;
	return 0;
}

static int balanced(void **state)
{
	struct frame_stats after;

	(void)state;
	frame_stats(&after);
	assert_int_equal(before.free, after.free);
	assert_int_equal(payer.pages, 0);
	assert_int_equal(objects_live, 0);
	return 0;
}

static void grow(struct mem *m, uint64_t pages)
{
	uint64_t now = 0;

	do
		assert_int_equal(mem_grow(m, pages, &now), 0);
	while (now < pages);
}

static void test_grow(void **state)
{
	struct mem *m;
	uint64_t now, run;
	hpa_t hpa;

	(void)state;
	assert_int_equal(mem_create(HVM_DMA | HVM_HV, &payer, &m), -HVE_INVAL);
	assert_int_equal(mem_create(0x80, &payer, &m), -HVE_INVAL);
	assert_int_equal(mem_create(0, &payer, &m), 0);
	assert_int_equal(objects_live, 1);
	assert_int_equal(mem_lookup(m, 0, &hpa, &run), -HVE_INVAL);
	assert_int_equal(mem_grow(m, 0, &now), 0);
	assert_int_equal(now, 0);
	assert_int_equal(mem_grow(m, 3000, &now), 0);
	assert_int_equal(now, HV_GROW_MAX);
	assert_int_equal(mem_lookup(m, 511, &hpa, &run), 0);
	assert_int_equal(run, 1);
	assert_int_equal(mem_lookup(m, 0, &hpa, &run), 0);
	assert_int_equal(run, 512); /* one large page */
	grow(m, 1034);
	assert_int_equal(mem_lookup(m, 1024, &hpa, &run), 0);
	assert_int_equal(run, 1);
	assert_int_equal(mem_grow(m, 10, &now), 0); /* never shrinks */
	assert_int_equal(now, 1034);
	assert_int_equal(mem_grow(m, 1ull << 40, &now), -HVE_INVAL);
	/* frames, the root, one table for the small pages */
	assert_int_equal(payer.pages, 1034 + 2);
	assert_null(mem_hv_page(m, 0));
	object_get(&m->obj);
	object_put(&m->obj);
	assert_int_equal(objects_live, 1);
	object_put(&m->obj);
}

static void test_small_object_is_cheap(void **state)
{
	struct mem *m;

	(void)state;
	assert_int_equal(mem_create(HVM_HV, &payer, &m), 0);
	grow(m, 17);
	assert_int_equal(payer.pages, 17 + 1);
	strcpy(mem_hv_page(m, 16), "here");
	assert_null(mem_hv_page(m, 17));
	object_put(&m->obj);
}

static void test_dma_is_contiguous(void **state)
{
	static const uint64_t steps[] = {1, 4, 68, 324, 836};
	struct mem *m;
	uint64_t at = 0;

	(void)state;
	assert_int_equal(mem_create(HVM_DMA, &payer, &m), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
		uint64_t run, now, align = 1;
		hpa_t first, hpa;

		assert_int_equal(mem_grow(m, steps[i], &now), 0);
		assert_int_equal(now, steps[i]);
		assert_int_equal(mem_lookup(m, at, &first, &run), 0);
		while (align < now - at)
			align *= 2;
		assert_int_equal(first % (align * PAGE_SIZE), 0);
		for (uint64_t k = at; k < now; k++) {
			assert_int_equal(mem_lookup(m, k, &hpa, &run), 0);
			assert_int_equal(hpa, first + (k - at) * PAGE_SIZE);
		}
		at = now;
	}
	object_put(&m->obj);
}

/* Whatever the limit, a refused growth leaves what *now says, and all of it goes back. */
static void test_limits(void **state)
{
	static const uint32_t kinds[] = {0, HVM_DMA, HVM_HV};

	(void)state;
	for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (uint64_t limit = 1; limit < 1100; limit += limit < 8 ? 1 : 97) {
			struct mem *m;
			uint64_t now = 0;

			payer.limit = limit;
			assert_int_equal(mem_create(kinds[k], &payer, &m), 0);
			while (mem_grow(m, 1024, &now) == 0 && now < 1024)
				;
			assert_true(now < 1024 || payer.pages <= limit);
			assert_true(payer.pages <= limit);
			assert_int_equal(now, m->pages);
			object_put(&m->obj);
			assert_int_equal(payer.pages, 0);
		}
	}
}

static void test_recharge(void **state)
{
	struct account other = {0};
	struct mem *m;

	(void)state;
	assert_int_equal(mem_create(0, &payer, &m), 0);
	grow(m, 600);
	mem_recharge(m, &other);
	assert_int_equal(payer.pages, 0);
	assert_int_equal(other.pages, 600 + m->frames.tables);
	grow(m, 700);
	object_put(&m->obj);
	assert_int_equal(other.pages, 0);
}

static void test_map(void **state)
{
	struct mem *m;
	struct pt pt;
	struct pt_entry e;
	hpa_t hpa;
	uint64_t run;

	(void)state;
	assert_int_equal(mem_create(0, &payer, &m), 0);
	grow(m, 1100);
	assert_int_equal(pt_create(&pt, PT_NPT, &payer), 0);
	assert_int_equal(mem_map_into(m, 0, 1100, &pt, 4 * LARGE_SIZE, PT_R | PT_W), 0);
	assert_true(pt_lookup(&pt, 4 * LARGE_SIZE, &e));
	assert_int_equal(e.shift, 21);
	assert_int_equal(e.prot, PT_R | PT_W | PT_BORROWED);
	assert_true(pt_lookup(&pt, 6 * LARGE_SIZE + 5 * PAGE_SIZE, &e));
	assert_int_equal(e.shift, 12);
	assert_int_equal(mem_lookup(m, 1029, &hpa, &run), 0);
	assert_int_equal(e.hpa, hpa);
	/* Off by a page: small leaves of a large page's inside. */
	assert_int_equal(mem_map_into(m, 3, 600, &pt, 16 * LARGE_SIZE, PT_R), 0);
	assert_true(pt_lookup(&pt, 16 * LARGE_SIZE + 509 * PAGE_SIZE, &e));
	assert_int_equal(mem_lookup(m, 512, &hpa, &run), 0);
	assert_int_equal(e.hpa, hpa);
	for (uint64_t va = 0; pt_next(&pt, va, 1ull << 47, &e); va = e.va + 1)
		assert_true(pt_unmap(&pt, e.va, &e));
	pt_destroy(&pt);
	object_put(&m->obj);
}

/* A GiB of the object that lies in a GiB of memory is mapped by one entry, if the CPU can. */
static void test_giga(void **state)
{
	struct mem *m, *other;
	struct pt pt;
	struct pt_entry e;
	unsigned n = 0;

	(void)state;
	assert_int_equal(mem_create(0, &payer, &m), 0);
	assert_int_equal(mem_create(0, &payer, &other), 0);
	grow(other, 512); /* takes from the high range first, but not from the free GiB's middle */
	grow(m, 262144 + 1024);
	assert_int_equal(pt_create(&pt, PT_NPT, &payer), 0);
	pt.giga = true;
	assert_int_equal(mem_map_into(m, 0, 262144 + 1024, &pt, GIGA_SIZE, PT_R | PT_W), 0);
	assert_true(pt_lookup(&pt, 2 * GIGA_SIZE - 1, &e));
	assert_int_equal(e.shift, 30);
	assert_int_equal(e.hpa, 5 * GIGA_SIZE);
	assert_true(pt_lookup(&pt, 2 * GIGA_SIZE, &e));
	assert_int_equal(e.shift, 21);
	assert_int_equal(pt.tables, 3);
	assert_int_equal(mem_map_into(m, 512, 262144, &pt, 8 * GIGA_SIZE, PT_R),
			 0); /* shifted: 2 MiB pages */
	assert_true(pt_lookup(&pt, 8 * GIGA_SIZE, &e));
	assert_int_equal(e.shift, 21);
	pt.giga = false;
	assert_int_equal(mem_map_into(m, 0, 262144, &pt, 16 * GIGA_SIZE, PT_R), 0);
	for (uint64_t va = 0; pt_next(&pt, va, 1ull << 47, &e); va = e.va + 1, n++)
		assert_true(pt_unmap(&pt, e.va, &e));
	assert_int_equal(n, 1 + 2 + 512 + 512);
	pt_destroy(&pt);
	object_put(&other->obj);
	object_put(&m->obj);
}

static void test_map_is_all_or_nothing(void **state)
{
	struct mem *m;
	struct pt pt;
	struct pt_entry e;
	uint64_t tables;

	(void)state;
	assert_int_equal(mem_create(0, &payer, &m), 0);
	grow(m, 1100);
	assert_int_equal(pt_create(&pt, PT_PROGRAM, &payer), 0);
	assert_int_equal(mem_map_into(m, 0, 1101, &pt, 0x200000, PT_R), -HVE_INVAL);
	assert_int_equal(mem_map_into(m, 1100, 1, &pt, 0x200000, PT_R), -HVE_INVAL);
	assert_int_equal(mem_map_into(m, ~0ull, 2, &pt, 0x200000, PT_R), -HVE_INVAL);
	assert_int_equal(mem_map_into(m, 0, 0, &pt, 0x200000, PT_R), -HVE_INVAL);
	assert_int_equal(mem_map_into(m, 0, 1, &pt, 0x200001, PT_R), -HVE_INVAL);
	assert_int_equal(mem_map_into(m, 0, 2, &pt, ~0xfffull, PT_R), -HVE_INVAL);
	/* something is there in the middle */
	assert_int_equal(pt_map(&pt, 0x200000 + 1050 * PAGE_SIZE, 0, 12, PT_R), 0);
	tables = pt.tables;
	assert_int_equal(mem_map_into(m, 0, 1100, &pt, 0x200000, PT_R), -HVE_EXIST);
	assert_int_equal(pt.tables, tables);
	assert_true(pt_next(&pt, 0, 1ull << 47, &e));
	assert_int_equal(e.va, 0x200000 + 1050 * PAGE_SIZE);
	assert_true(pt_unmap(&pt, e.va, &e));
	/* no memory for the second table */
	payer.limit = payer.pages + 3;
	assert_int_equal(mem_map_into(m, 1, 1000, &pt, 0x200000, PT_R), -HVE_NOMEM);
	assert_false(pt_next(&pt, 0, 1ull << 47, &e));
	assert_int_equal(pt.tables, 1);
	pt_destroy(&pt);
	object_put(&m->obj);
}

static void test_module(void **state)
{
	struct mem *m;
	hpa_t hpa;
	uint64_t run;

	(void)state;
	assert_int_equal(mem_from_frames(MODULE + 1, 1, &payer, &m), -HVE_INVAL);
	assert_int_equal(mem_from_frames(20 * MIB, 1, &payer, &m), -HVE_INVAL);
	assert_int_equal(payer.pages, 0);
	assert_int_equal(mem_from_frames(MODULE, 100, &payer, &m), 0);
	assert_int_equal(payer.pages, 101);
	assert_int_equal(mem_lookup(m, 99, &hpa, &run), 0);
	assert_int_equal(hpa, MODULE + 99 * PAGE_SIZE);
	object_put(&m->obj);
	before.free += 100; /* what was reserved is free now */
}

/* A thousand objects live at once and go in another order: pool pages come and go. */
static void test_many(void **state)
{
	static struct mem *m[1000];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(m); i++)
		assert_int_equal(mem_create(0, &payer, &m[i]), 0);
	assert_int_equal(objects_live, ARRAY_SIZE(m));
	for (unsigned i = 0; i < ARRAY_SIZE(m); i++)
		object_put(&m[i * 7 % ARRAY_SIZE(m)]->obj);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_grow, start, balanced),
		cmocka_unit_test_setup_teardown(test_small_object_is_cheap, start, balanced),
		cmocka_unit_test_setup_teardown(test_dma_is_contiguous, start, balanced),
		cmocka_unit_test_setup_teardown(test_limits, start, balanced),
		cmocka_unit_test_setup_teardown(test_recharge, start, balanced),
		cmocka_unit_test_setup_teardown(test_map, start, balanced),
		cmocka_unit_test_setup_teardown(test_giga, start, balanced),
		cmocka_unit_test_setup_teardown(test_map_is_all_or_nothing, start, balanced),
		cmocka_unit_test_setup_teardown(test_module, start, balanced),
		cmocka_unit_test_setup_teardown(test_many, start, balanced),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
