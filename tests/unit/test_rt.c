/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/rt/mem.c
// SRC: ctrl-kernel/rt/va.c
// FLAGS: -Dmemcpy=rt_memcpy -Dmemmove=rt_memmove -Dmemset=rt_memset -Dmemcmp=rt_memcmp
/* The run time's copy functions against plain loops, every length and alignment; and the address-space allocator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/rt/rt.h"

#define LEN 80u

static unsigned deaths, maps_left, unmapped;
static jmp_buf died;

void rt_die(const char *format, ...)
{
	(void)format;
	deaths++;
	longjmp(died, 1);
}

void rt_log(const char *format, ...)
{
	(void)format;
}

struct hv_result hv_raw(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			uint64_t f)
{
	(void)a, (void)c, (void)d, (void)e, (void)f;
	if (n == HVC_MEM_UNMAP) {
		unmapped += (unsigned)b;
		return (struct hv_result){0, 0};
	}
	assert_int_equal(n, HVC_MEM_MAP);
	return (struct hv_result){maps_left-- ? 0 : -HVE_NOMEM, 0};
}

static void fill(uint8_t *p)
{
	for (unsigned i = 0; i < 2 * LEN; i++)
		p[i] = (uint8_t)(i * 13 + 5);
}

/* One buffer, so that every overlap in both directions occurs. */
static void test_move(void **state)
{
	uint8_t got[2 * LEN], want[2 * LEN], copy[LEN];

	(void)state;
	for (unsigned from = 0; from < 24; from++) {
		for (unsigned to = 0; to < 24; to++) {
			for (unsigned len = 0; len < LEN; len++) {
				fill(got);
				fill(want);
				for (unsigned i = 0; i < len; i++)
					copy[i] = want[from + i];
				for (unsigned i = 0; i < len; i++)
					want[to + i] = copy[i];
				assert_ptr_equal(memmove(got + to, got + from, len), got + to);
				for (unsigned i = 0; i < 2 * LEN; i++)
					assert_int_equal(got[i], want[i]);
			}
		}
	}
}

static void test_copy_set(void **state)
{
	uint8_t a[2 * LEN], b[2 * LEN];

	(void)state;
	for (unsigned to = 0; to < 9; to++) {
		for (unsigned len = 0; len < LEN; len++) {
			fill(a);
			for (unsigned i = 0; i < 2 * LEN; i++)
				b[i] = 0xee;
			assert_ptr_equal(memcpy(b + to, a + 3, len), b + to);
			for (unsigned i = 0; i < 2 * LEN; i++)
				assert_int_equal(b[i],
						 i >= to && i < to + len ? a[3 + i - to] : 0xee);
			assert_ptr_equal(memset(b + to, 0x1c7, len), b + to);
			for (unsigned i = 0; i < 2 * LEN; i++)
				assert_int_equal(b[i], i >= to && i < to + len ? 0xc7 : 0xee);
		}
	}
}

static void test_compare(void **state)
{
	uint8_t a[2 * LEN], b[2 * LEN];

	(void)state;
	fill(a);
	for (unsigned len = 0; len < LEN; len++) {
		for (unsigned at = 0; at < LEN; at++) {
			fill(b);
			b[at] ^= 0x80;
			if (at >= len)
				assert_int_equal(memcmp(a, b, len), 0);
			else
				assert_true((memcmp(a, b, len) < 0) == (a[at] < b[at]));
		}
	}
}

static void test_va(void **state)
{
	uint8_t *first = rt_va_alloc(1, 1), *a, *b, *c;

	(void)state;
	assert_int_equal((uintptr_t)first, 0x100000000ull);
	a = rt_va_alloc(512, 512);
	assert_int_equal((uintptr_t)a % 0x200000, 0);
	b = rt_va_alloc(510, 1); /* between them */
	assert_ptr_equal(b, first + 4096);
	c = rt_va_alloc(1, 1);
	assert_ptr_equal(c, first + 511 * 4096);
	rt_va_free(b, 510);
	rt_va_free(first, 1);
	rt_va_free(c, 1);
	rt_va_free(a, 512);
	assert_ptr_equal(rt_va_alloc(1024, 1), first); /* merged again */
	rt_va_free(first, 1024);
	assert_null(rt_va_alloc(0, 1));
	assert_null(rt_va_alloc(UINT64_MAX, 1));
	assert_null(rt_va_alloc(1ull << 28, 1)); /* 1 TiB: does not fit above 4 GiB */
	assert_null(rt_va_alloc(1, 3));
	for (int i = 0; i < 2; i++) /* freed twice */
		if (setjmp(died) == 0)
			rt_va_free(first, 1);
	assert_int_equal(deaths, 2);
}

/* A mapping larger than one call takes is undone as a whole. */
static void test_map(void **state)
{
	void *p;

	(void)state;
	maps_left = 2;
	p = rt_mem_map(1, 0, HV_MAP_MAX + 1, HVP_READ);
	assert_non_null(p);
	rt_mem_unmap(p, HV_MAP_MAX + 1);
	assert_int_equal(unmapped, HV_MAP_MAX + 1);
	maps_left = 1;
	unmapped = 0;
	assert_null(rt_mem_map(1, 0, HV_MAP_MAX + 1, HVP_READ));
	assert_int_equal(unmapped, HV_MAP_MAX);
	assert_ptr_equal(rt_va_alloc(HV_MAP_MAX + 1, 512), p);
	rt_mem_unmap(NULL, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_move),    cmocka_unit_test(test_copy_set),
		cmocka_unit_test(test_compare), cmocka_unit_test(test_va),
		cmocka_unit_test(test_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
