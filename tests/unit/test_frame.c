/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/mm/frame.c
// SRC: hv/mm/frame_init.c
/* The frame allocator on a small machine with a hole, partial chunks and reserved ranges. */
#include "tests/unit/mm_fakes.h"

#include <pthread.h>
#include "hv/mm/chunk.h"

/* 62 MiB low (chunk 1 has the image, chunk 5 a module), 32 MiB and a bit above 4 GiB. */
#define MODULE (10 * MIB + 0x1000)
#define MODULE_PAGES 5u
#define HIGH (4096 * MIB)
#define RAM_PAGES ((0x9f000 + 63 * MIB + 33 * MIB) / 4096)

static struct account acct;

static void machine(void)
{
	arena_make();
	frame_add_ram(0, 0x9f000);
	frame_add_ram(1 * MIB + 1, 64 * MIB - 1); /* rounded inwards */
	frame_add_ram(HIGH, HIGH + 33 * MIB);
	frame_reserve(2 * MIB + 5, 3 * MIB - 5); /* rounded outwards */
	frame_reserve(MODULE, MODULE + MODULE_PAGES * PAGE_SIZE);
	frame_init_done();
}

static int setup(void **state)
{
	(void)state;
	machine();
	return 0;
}

static void counts(uint64_t *free)
{
	struct frame_stats s;

	frame_stats(&s);
	assert_int_equal(s.total, s.free + account_hv.pages + acct.pages);
	*free = s.free;
}

static void test_boot_counts(void **state)
{
	struct frame_stats s;

	(void)state;
	frame_stats(&s);
	/* two pages lost by rounding inwards */
	assert_int_equal(s.total, RAM_PAGES - 2);
	assert_int_equal(s.total, s.free + account_hv.pages);
	/* low memory 0x9f, image 256, module 5, the table itself */
	assert_true(account_hv.pages > 0x9f + 256 + MODULE_PAGES);
	assert_true(account_hv.pages < 0x9f + 256 + MODULE_PAGES + 100);
	assert_true(frame_is_ram(0x9e000, 0xa0000));
	assert_false(frame_is_ram(0xa0000, 0x100000));
	assert_true(frame_is_ram(0, ~0ull));
	assert_false(frame_is_ram(HIGH + 33 * MIB, HIGH + 40 * MIB));
}

/* No two allocations overlap, all are zeroed, reserved ranges and low memory are never handed out. */
static void test_everything_once(void **state)
{
	static hpa_t got[RAM_PAGES + 1];
	static uint8_t seen[ARENA >> 12];
	uint64_t before, after, n = 0;

	(void)state;
	memset(arena + 20 * MIB, 0xaa, 4 * MIB);
	counts(&before);
	while (frame_alloc(&acct, FRAME_4K, &got[n]) == 0) {
		hpa_t f = got[n++];

		assert_true(f >= 1 * MIB);
		assert_false(f >= 2 * MIB && f < 3 * MIB);
		assert_false(f >= MODULE && f < MODULE + MODULE_PAGES * PAGE_SIZE);
		assert_int_equal(seen[f >> 12]++, 0);
		for (unsigned i = 0; i < 4096; i += 64)
			assert_int_equal(arena[f + i], 0);
		arena[f] = 1;
	}
	/* What is left is inside hv's chunks. */
	counts(&after);
	assert_true(after < 512);
	while (n > 0)
		frame_free(&acct, got[--n], FRAME_4K);
	counts(&after);
	assert_int_equal(before, after);
	assert_int_equal(acct.pages, 0);
}

static void test_large_prefers_high(void **state)
{
	uint64_t before, after;
	hpa_t got[64];
	unsigned n = 0;

	(void)state;
	counts(&before);
	while (n < 64 && frame_alloc(&acct, FRAME_2M, &got[n]) == 0) {
		assert_int_equal(got[n] % LARGE_SIZE, 0);
		if (n < 16)
			assert_true(got[n] >= HIGH);
		n++;
	}
	assert_int_equal(n, 16 + 27);
	/* Pieces of a large frame may come back one by one. */
	for (unsigned i = 0; i < 512; i++)
		frame_free(&acct, got[0] + i * PAGE_SIZE, FRAME_4K);
	for (unsigned i = 1; i < n; i++)
		frame_free(&acct, got[i], FRAME_2M);
	counts(&after);
	assert_int_equal(before, after);
}

static void test_hv_pages(void **state)
{
	void *p[10];
	uint64_t before, after;

	(void)state;
	counts(&before);
	for (unsigned i = 0; i < 10; i++) {
		p[i] = hv_pages_alloc(&acct, 1u << i);
		assert_non_null(p[i]);
		assert_int_equal(hv_to_phys(p[i]) % ((1u << i) * PAGE_SIZE), 0);
		assert_true(in_direct[hv_to_phys(p[i]) >> 21] || i < 9);
		for (unsigned k = 0; k < (1u << i) * PAGE_SIZE; k += 512)
			assert_int_equal(((char *)p[i])[k], 0);
		memset(p[i], 0x55, (1u << i) * PAGE_SIZE);
	}
	assert_int_equal(acct.pages, 1023);
	for (unsigned i = 0; i < 10; i++)
		hv_pages_free(&acct, p[i], 1u << i);
	hv_pages_free(&acct, NULL, 1);
	counts(&after);
	assert_int_equal(before, after);
	assert_int_equal(direct_errors, 0);
}

/* hv keeps its empty chunks until somebody needs them; then they leave the direct map. */
static void test_reclaim(void **state)
{
	void *p[8];
	hpa_t got[64];
	uint64_t before, after;
	unsigned n = 0, mapped = 0;

	(void)state;
	counts(&before);
	for (unsigned i = 0; i < 8; i++)
		p[i] = hv_pages_alloc(&acct, 512);
	for (unsigned i = 0; i < 8; i++)
		hv_pages_free(&acct, p[i], 512);
	while (n < 64 && frame_alloc(&acct, FRAME_2M, &got[n]) == 0)
		n++;
	assert_int_equal(n, 16 + 27);
	for (unsigned i = 0; i < n; i++)
		assert_false(in_direct[got[i] >> 21]);
	for (size_t i = 0; i < sizeof(in_direct); i++)
		mapped += in_direct[i];
	assert_true(mapped <= 1);
	assert_int_equal(direct_errors, 0);
	while (n > 0)
		frame_free(&acct, got[--n], FRAME_2M);
	counts(&after);
	assert_int_equal(before, after);
}

static void test_runs(void **state)
{
	static const unsigned sizes[] = {1, 2, 3, 5, 16, 63, 64, 65, 100, 256, 300, 511, 512};
	hpa_t got[ARRAY_SIZE(sizes)];
	uint64_t before, after;
	hpa_t none;

	(void)state;
	counts(&before);
	assert_int_equal(frame_alloc_run(&acct, 0, &none), -HVE_INVAL);
	assert_int_equal(frame_alloc_run(&acct, 513, &none), -HVE_INVAL);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned align = 1;

		while (align < sizes[i])
			align *= 2;
		assert_int_equal(frame_alloc_run(&acct, sizes[i], &got[i]), 0);
		assert_int_equal(got[i] % (align * PAGE_SIZE), 0);
		assert_true(got[i] < HIGH); /* for devices */
		for (unsigned k = 0; k < i; k++)
			assert_true(got[k] + sizes[k] * PAGE_SIZE <= got[i] ||
				    got[i] + sizes[i] * PAGE_SIZE <= got[k]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
		for (unsigned k = 0; k < sizes[i]; k++)
			frame_free(&acct, got[i] + k * PAGE_SIZE, FRAME_4K);
	counts(&after);
	assert_int_equal(before, after);
}

static void test_limit(void **state)
{
	struct account small = {.limit = 3};
	hpa_t a, b = 7;

	(void)state;
	assert_int_equal(frame_alloc_run(&small, 3, &a), 0);
	assert_int_equal(frame_alloc(&small, FRAME_4K, &b), -HVE_NOMEM);
	assert_int_equal(b, 7);
	assert_null(hv_page_alloc(&small));
	assert_int_equal(small.pages, 3);
	for (unsigned i = 0; i < 3; i++)
		frame_free(&small, a + i * PAGE_SIZE, FRAME_4K);
	assert_int_equal(small.pages, 0);
}

/* Idle CPUs clean a share of the memory; what is clean is not zeroed again, what was half cleaned only half. */
static void test_idle_scrub(void **state)
{
	uint64_t before, after;
	hpa_t a = 0, b[16];
	unsigned n = 0;

	(void)state;
	counts(&before);
	while (frame_scrub_idle())
		n++;
	assert_true(n * 2 * PAGE_SIZE >= RAM_PAGES / 8 * PAGE_SIZE);
	assert_true(n * 2 * PAGE_SIZE < RAM_PAGES / 8 * PAGE_SIZE + 2 * LARGE_SIZE);
	counts(&after);
	assert_int_equal(before, after);
	n = 0;
	zeroed = 0;
	do /* take the clean ones */
		assert_int_equal(frame_alloc(&acct, FRAME_2M, &b[n++]), 0);
	while (zeroed == 0 && n < 16);
	assert_true(n > 5);
	frame_free(&acct, b[--n], FRAME_2M);
	zeroed = 0;
	for (unsigned i = 0; i < 100; i++)
		assert_true(frame_scrub_idle());
	assert_int_equal(zeroed, 200 * PAGE_SIZE);
	for (unsigned c = 0; c < chunk_table.n_chunks; c++) /* the rest of the half-cleaned one */
		if (chunk_table.chunks[c].state == CHUNK_FREE &&
		    (chunk_table.chunks[c].dirty[0] & 1) == 0)
			a = c * LARGE_SIZE;
	memset(arena + a + 300 * PAGE_SIZE, 0x77, PAGE_SIZE);
	zeroed = 0;
	while (zeroed < LARGE_SIZE - 200 * PAGE_SIZE)
		assert_true(frame_scrub_idle());
	assert_int_equal(zeroed, LARGE_SIZE - 200 * PAGE_SIZE);
	for (unsigned i = 0; i < LARGE_SIZE; i++)
		assert_int_equal(arena[a + i], 0);
	while (n > 0)
		frame_free(&acct, b[--n], FRAME_2M);
	counts(&after);
	assert_int_equal(before, after);
}

#define HELD 24u
#define ROUNDS 1500u
#define WORKERS 2u

/* Takes and gives back frames of all kinds; marks each and looks whether the mark is still there at the end. */
static void *worker(void *seed)
{
	unsigned random = (unsigned)(uintptr_t)seed;
	struct {
		hpa_t hpa;
		unsigned kind; /* 0 nothing, 1 small, 2 large, 3 hv */
	} held[HELD] = {0};

	for (unsigned round = 0; round < ROUNDS + HELD; round++) {
		unsigned i = round % HELD;
		uint64_t *mark = held[i].kind != 0 ? phys_to_hv(held[i].hpa) : NULL;

		if (mark != NULL && *mark != (uintptr_t)seed)
			abort();
		if (held[i].kind == 3)
			hv_page_free(&acct, mark);
		else if (held[i].kind != 0)
			frame_free(&acct, held[i].hpa, held[i].kind == 2 ? FRAME_2M : FRAME_4K);
		held[i].kind = 0;
		random = random * 1103515245 + 12345;
		(void)frame_scrub_idle();
		if (round >= ROUNDS)
			continue;
		mark = NULL;
		if ((random >> 16) % 64 == 0 && frame_alloc(&acct, FRAME_2M, &held[i].hpa) == 0)
			held[i].kind = 2;
		else if ((random >> 16) % 4 == 1 && (mark = hv_page_alloc(&acct)) != NULL)
			held[i].kind = 3;
		else if (frame_alloc(&acct, FRAME_4K, &held[i].hpa) == 0)
			held[i].kind = 1;
		if (mark != NULL)
			held[i].hpa = hv_to_phys(mark);
		if (held[i].kind == 0)
			continue;
		mark = phys_to_hv(held[i].hpa);
		if (*mark != 0)
			abort();
		*mark = (uintptr_t)seed;
	}
	return NULL;
}

static void test_many_cpus(void **state)
{
	uint64_t before, after;
	pthread_t t[WORKERS];

	(void)state;
	counts(&before);
	for (uintptr_t i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, worker, (void *)(i + 1)), 0);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(t[i], NULL);
	counts(&after);
	assert_int_equal(before, after);
	assert_int_equal(acct.pages, 0);
	assert_int_equal(chunk_table.busy, 0);
	assert_int_equal(direct_errors, 0);
}

static void test_adopt(void **state)
{
	uint64_t before, after;

	(void)state;
	counts(&before);
	assert_int_equal(frame_adopt(&acct, MODULE, MODULE_PAGES + 1), -HVE_INVAL);
	assert_int_equal(frame_adopt(&acct, MODULE + 1, 1), -HVE_INVAL);
	assert_int_equal(frame_adopt(&acct, 20 * MIB, 1), -HVE_INVAL); /* not reserved */
	assert_int_equal(frame_adopt(&acct, 1ull << 50, 1), -HVE_INVAL);
	assert_int_equal(frame_adopt(&acct, MODULE, ~0ull >> 12), -HVE_INVAL);
	assert_int_equal(frame_adopt(&acct, MODULE, MODULE_PAGES), 0);
	assert_int_equal(frame_adopt(&acct, MODULE, MODULE_PAGES), -HVE_INVAL); /* taken */
	assert_int_equal(acct.pages, MODULE_PAGES);
	for (unsigned i = 0; i < MODULE_PAGES; i++)
		frame_free(&acct, MODULE + i * PAGE_SIZE, FRAME_4K);
	counts(&after);
	assert_int_equal(after, before + MODULE_PAGES);
	/* The chunk it was in is whole now. */
	assert_int_equal(chunk_table.chunks[5].state, CHUNK_FREE);
}

static void test_double_free_is_caught(void **state)
{
	hpa_t a;

	(void)state;
	assert_int_equal(frame_alloc(&acct, FRAME_4K, &a), 0);
	frame_free(&acct, a, FRAME_4K);
	/* The lock stays taken: last test of all. */
	expect_assert_failure(frame_free(&acct, a, FRAME_4K));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boot_counts),
		cmocka_unit_test(test_everything_once),
		cmocka_unit_test(test_large_prefers_high),
		cmocka_unit_test(test_hv_pages),
		cmocka_unit_test(test_reclaim),
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_idle_scrub),
		cmocka_unit_test(test_many_cpus),
		cmocka_unit_test(test_adopt),
		cmocka_unit_test(test_double_free_is_caught),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
