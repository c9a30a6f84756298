/* SPDX-License-Identifier: BSD-2-Clause */
/* XCR0 is the guest's own: CPUID follows CR4.OSXSAVE and XCR0, bad values are refused, and what it has switched on
 * survives exits and the other vCPU, which uses another XCR0. */
#include "guest.h"

#define CR4_OSXSAVE (1ul << 18)

static volatile bool ap_ok;
static uint64_t avx; /* XCR0 bit 2, if the CPU has it */

static void xsetbv(uint32_t reg, uint64_t v)
{
	__asm__ volatile("xsetbv" : : "c"(reg), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

static uint64_t xgetbv(void)
{
	uint32_t a, d;

	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return a | (uint64_t)d << 32;
}

static void osxsave_on(void)
{
	uint64_t cr4;

	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_OSXSAVE));
}

void ap_main(unsigned n)
{
	(void)n;
	osxsave_on();
	xsetbv(0, 3);
	for (unsigned i = 0; i < 1000; i++) {
		inb(0x1234);
		if (xgetbv() != 3)
			fail("the other CPU's XCR0 is %lx", xgetbv());
	}
	ap_ok = true;
	for (;;)
		pause();
}

/* clang-format off */
static void bad_reg(void *a) { (void)a; xsetbv(1, 3); }
static void bad_no_x87(void *a) { (void)a; xsetbv(0, 2); }
static void bad_avx_alone(void *a) { (void)a; xsetbv(0, 5); }
static void bad_bits(void *a) { (void)a; xsetbv(0, 3 | 1ul << 62); }
/* clang-format on */

static void test_refused(void)
{
	check(catch_trap(bad_reg, NULL) == 13, "XCR1");
	check(catch_trap(bad_no_x87, NULL) == 13, "XCR0 without x87");
	check(catch_trap(bad_avx_alone, NULL) == 13, "AVX without SSE");
	check(catch_trap(bad_bits, NULL) == 13, "an unknown bit");
	check(xgetbv() == 1, "XCR0 is %lx after refused values", xgetbv());
}

void guest_main(void)
{
	uint32_t r[4], before;
	uint64_t x = 0x123456789abcdef0, y;

	x2apic_enable();
	cpuid(1, 0, r);
	if (!(r[2] & 1u << 26)) {
		print("no XSAVE here");
		done();
	}
	avx = r[2] & 1u << 28 ? 4 : 0;
	check(!(r[2] & 1u << 27), "OSXSAVE before CR4 says so");
	osxsave_on();
	cpuid(1, 0, r);
	check(r[2] & 1u << 27, "OSXSAVE does not follow CR4");
	test_refused();
	cpuid(0xd, 0, r);
	before = r[1];
	xsetbv(0, 3 | avx);
	cpuid(0xd, 0, r);
	check(!avx || r[1] > before, "leaf 0xd: %u, then %u", before, r[1]);
	check(ap_start(1), "the other CPU did not start");
	__asm__ volatile("movq %0, %%xmm3" : : "r"(x));
	if (avx)
		__asm__ volatile("vinsertf128 $1, %xmm3, %ymm3, %ymm3");
	for (unsigned i = 0; i < 3000 || !ap_ok; i++)
		inb(0x1234);
	if (avx)
		__asm__ volatile("vextractf128 $1, %ymm3, %xmm3");
	__asm__ volatile("movq %%xmm3, %0" : "=r"(y));
	check(y == x, "ymm3 is %lx", y);
	check(xgetbv() == (3 | avx), "XCR0 is %lx", xgetbv());
	done();
}
