/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/mm/pt.c
// SRC: hv/mm/frame.c
// SRC: hv/mm/frame_init.c
/* The page-table walker: all formats and sizes, counts of tables, and a random run against a plain model. */
#include "tests/unit/mm_fakes.h"

#include "hv/mm/pt.h"

static struct account acct;
static uint64_t root_of_hv[512];
uint64_t *hv_pml4 = root_of_hv;

static int setup(void **state)
{
	(void)state;
	arena_make();
	frame_add_ram(1 * MIB, 64 * MIB);
	frame_init_done();
	for (unsigned i = 0; i < 512; i++)
		root_of_hv[i] = i << 12 | 1;
	return 0;
}

static void empty_and_destroy(struct pt *pt)
{
	struct pt_entry e;

	for (uint64_t va = 0; pt_next(pt, va, 1ull << 48, &e); va = e.va + 1) {
		struct pt_entry was;

		assert_true(pt_unmap(pt, e.va, &was));
		assert_int_equal(was.hpa, e.hpa);
	}
	assert_int_equal(pt->tables, 1);
	pt_destroy(pt);
	assert_int_equal(acct.pages, 0);
}

static void test_formats(void **state)
{
	static const unsigned prots[] = {PT_R,
					 PT_R | PT_W,
					 PT_R | PT_X,
					 PT_R | PT_W | PT_X,
					 PT_R | PT_W | PT_UC,
					 PT_R | PT_BORROWED,
					 PT_R | PT_W | PT_X | PT_BORROWED};
	static const unsigned shifts[] = {12, 21, 30};

	(void)state;
	for (enum pt_format f = PT_PROGRAM; f <= PT_EPT; f++) {
		struct pt pt;
		struct pt_entry e;

		assert_int_equal(pt_create(&pt, f, &acct), 0);
		for (unsigned s = 0; s < 3; s++) {
			for (unsigned p = 0; p < ARRAY_SIZE(prots); p++) {
				uint64_t size = 1ull << shifts[s];
				uint64_t va = (p + 1) * size;

				assert_int_equal(pt_map(&pt, va, 5 * size, shifts[s], prots[p]), 0);
				assert_int_equal(pt_map(&pt, va, 0, shifts[s], PT_R), -HVE_EXIST);
				assert_true(pt_lookup(&pt, va + size - 1, &e));
				assert_int_equal(e.va, va);
				assert_int_equal(e.hpa, 5 * size);
				assert_int_equal(e.shift, shifts[s]);
				assert_int_equal(e.prot, prots[p]);
			}
			empty_and_destroy(&pt);
			assert_int_equal(pt_create(&pt, f, &acct), 0);
		}
		pt_destroy(&pt);
	}
}

/* The bits the CPU sees, APM2 5.4.1 and SDM3 29.3.2. */
static void test_bits(void **state)
{
	(void)state;
	assert_int_equal(pt_leaf(PT_PROGRAM, 0x5000, 12, PT_R), 0x8000000000005065ull);
	assert_int_equal(pt_leaf(PT_PROGRAM, 0x5000, 12, PT_R | PT_X), 0x5065);
	assert_int_equal(pt_leaf(PT_NPT, 0x200000, 21, PT_R | PT_W | PT_X), 0x2000e7);
	assert_int_equal(pt_leaf(PT_NPT, 0x5000, 12, PT_R | PT_W | PT_X | PT_UC), 0x507f);
	assert_int_equal(pt_leaf(PT_HV, 0x5000, 12, PT_R | PT_W), 0x8000000000005163ull);
	assert_int_equal(pt_leaf(PT_EPT, 0x5000, 12, PT_R | PT_W | PT_X), 0x5037);
	assert_int_equal(pt_leaf(PT_EPT, 0x40000000, 30, PT_R | PT_UC), 0x40000081);
}

static void test_upper_half_is_shared(void **state)
{
	struct pt pt;

	(void)state;
	assert_int_equal(pt_create(&pt, PT_PROGRAM, &acct), 0);
	assert_memory_equal(&pt.root[256], &root_of_hv[256], 256 * 8);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(pt.root[i], 0);
	empty_and_destroy(&pt); /* does not follow hv's entries */
}

static void test_in_the_way(void **state)
{
	struct pt pt;
	struct pt_entry e;

	(void)state;
	assert_int_equal(pt_create(&pt, PT_NPT, &acct), 0);
	assert_int_equal(pt_map(&pt, 0x200000, 0x400000, 21, PT_R), 0);
	assert_int_equal(pt_map(&pt, 0x201000, 0, 12, PT_R), -HVE_EXIST);
	assert_int_equal(pt_map(&pt, 0, 0, 30, PT_R), -HVE_EXIST);
	assert_int_equal(pt_map(&pt, 1ull << 48, 0, 12, PT_R), -HVE_INVAL);
	assert_false(pt_lookup(&pt, 1ull << 48 | 0x200000, &e));
	assert_false(pt_unmap(&pt, 1ull << 48 | 0x200000, &e));
	assert_false(pt_lookup(&pt, 0x400000, &e));
	assert_true(pt_lookup(&pt, 0x3ff000, &e));
	assert_int_equal(e.hpa, 0x400000);
	assert_int_equal(pt.tables, 3);
	empty_and_destroy(&pt);
}

static void test_no_memory_leaves_nothing(void **state)
{
	struct pt pt;

	(void)state;
	for (uint64_t limit = 1; limit < 4; limit++) {
		struct account small = {.limit = limit};

		assert_int_equal(pt_create(&pt, PT_PROGRAM, &small), 0);
		assert_int_equal(pt_map(&pt, 0x123456000, 0, 12, PT_R), -HVE_NOMEM);
		assert_int_equal(small.pages, 1);
		assert_int_equal(pt.tables, 1);
		for (unsigned i = 0; i < 256; i++)
			assert_int_equal(pt.root[i], 0);
		pt_destroy(&pt);
		assert_int_equal(small.pages, 0);
	}
}

static void test_next_skips_holes(void **state)
{
	static const uint64_t at[] = {0x1000, 0x200000, 0x40000000, 0x7f0000000000, 0xfffffffff000};
	struct pt pt;
	struct pt_entry e;
	uint64_t va = 0;

	(void)state;
	assert_int_equal(pt_create(&pt, PT_EPT, &acct), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(at); i++)
		assert_int_equal(pt_map(&pt, at[i], i << 12, 12, PT_R), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		assert_true(pt_next(&pt, va, ~0ull, &e));
		assert_int_equal(e.va, at[i]);
		va = e.va + 0x1000;
	}
	assert_false(pt_next(&pt, va, ~0ull, &e));
	assert_false(pt_next(&pt, 0x1001000, 0x40000000, &e));
	assert_true(pt_next(&pt, 0x1001000, 0x40000001, &e));
	empty_and_destroy(&pt);
}

static void test_small_tables_deepen(void **state)
{
	struct pt pt;
	struct pt_entry e;

	(void)state;
	assert_int_equal(pt_create_levels(&pt, PT_NPT, 1, &acct), 0);
	assert_int_equal(pt_map(&pt, 0x200000, 0, 12, PT_R), -HVE_INVAL);
	assert_int_equal(pt_map(&pt, 0x1ff000, 0x7000, 12, PT_R), 0);
	assert_int_equal(pt_deepen(&pt, 0x1fffff), 0);
	assert_int_equal(pt.tables, 1);
	assert_int_equal(pt_deepen(&pt, 1ull << 40), 0);
	assert_int_equal(pt.levels, 4);
	assert_int_equal(pt.tables, 4);
	assert_int_equal(pt_deepen(&pt, 1ull << 48), -HVE_INVAL);
	assert_true(pt_lookup(&pt, 0x1ff000, &e));
	assert_int_equal(e.hpa, 0x7000);
	assert_int_equal(pt_map(&pt, 1ull << 40, 0x9000, 12, PT_R), 0);
	empty_and_destroy(&pt); /* the counts of the new roots were right */
}

#define SLOTS 2048u

/* 4 KiB and 2 MiB leaves come and go; a plain array knows what must be there. */
static void test_random_against_model(void **state)
{
	static uint64_t model[SLOTS]; /* 0: nothing; else hpa | 1; 2 MiB pages in all 512 */
	struct pt pt;
	struct pt_entry e;

	(void)state;
	srand(1);
	assert_int_equal(pt_create(&pt, PT_PROGRAM, &acct), 0);
	for (unsigned round = 0; round < 100000; round++) {
		unsigned i = (unsigned)rand() % SLOTS;
		bool large = rand() % 64 == 0;
		uint64_t va = 0x7fffc0000000ull + ((uint64_t)i << 12);
		uint64_t hpa = (uint64_t)(rand() & 0xfffff) << 21;
		bool busy = false;

		if (rand() % 2 == 0) {
			assert_int_equal(pt_unmap(&pt, va, &e), model[i] != 0);
			if (model[i] == 0)
				continue;
			for (unsigned k = 0; k < 1u << (e.shift - 12); k++)
				model[((e.va - 0x7fffc0000000ull) >> 12) + k] = 0;
			continue;
		}
		if (large) {
			i &= ~511u;
			va &= ~(LARGE_SIZE - 1);
		}
		for (unsigned k = 0; k < (large ? 512 : 1); k++)
			busy |= model[i + k] != 0;
		assert_int_equal(pt_map(&pt, va, hpa, large ? 21 : 12, PT_R),
				 busy ? -HVE_EXIST : 0);
		for (unsigned k = 0; k < (large ? 512 : 1) && !busy; k++)
			model[i + k] = (hpa + k * PAGE_SIZE) | 1;
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		uint64_t va = 0x7fffc0000000ull + ((uint64_t)i << 12);

		assert_int_equal(pt_lookup(&pt, va, &e), model[i] != 0);
		if (model[i] != 0)
			assert_int_equal(e.hpa + (va - e.va), model[i] & ~1ull);
	}
	empty_and_destroy(&pt);
}

/* Tables with leaves in them are freed as well. */
static void test_destroy_full(void **state)
{
	struct pt pt;

	(void)state;
	assert_int_equal(pt_create(&pt, PT_NPT, &acct), 0);
	for (uint64_t i = 0; i < 300; i++)
		assert_int_equal(pt_map(&pt, i * 0x12345000 * 7, i << 12, 12, PT_R), 0);
	assert_true(acct.pages > 300);
	assert_int_equal(acct.pages, pt.tables);
	pt_destroy(&pt);
	assert_int_equal(acct.pages, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_upper_half_is_shared),
		cmocka_unit_test(test_in_the_way),
		cmocka_unit_test(test_no_memory_leaves_nothing),
		cmocka_unit_test(test_next_skips_holes),
		cmocka_unit_test(test_small_tables_deepen),
		cmocka_unit_test(test_random_against_model),
		cmocka_unit_test(test_destroy_full),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
