/* SPDX-License-Identifier: BSD-2-Clause */
/* XSETBV: refused values are #GP (or #UD while XSAVE is off), legal ones are seen by XGETBV and by CPUID, and vector
 * state, MXCSR and components that are switched off survive the turns of others. */
#include "guest.h"

enum { UD = 6, GP = 13, OSXSAVE = 1 << 18, OFFERED = 0xe7 };

struct xcr {
	uint32_t reg;
	uint64_t value;
};

static void xsetbv(void *arg)
{
	const struct xcr *x = arg;

	__asm__ volatile("xsetbv"
			 :
			 : "c"(x->reg), "a"((uint32_t)x->value), "d"((uint32_t)(x->value >> 32)));
}

static uint64_t xgetbv(void)
{
	uint32_t a, d;

	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return a | (uint64_t)d << 32;
}

static int try(uint32_t reg, uint64_t value)
{
	struct xcr x = {reg, value};

	return catch_trap(xsetbv, &x);
}

static uint64_t cr4(uint64_t set)
{
	uint64_t v;

	__asm__ volatile("mov %%cr4, %0" : "=r"(v));
	__asm__ volatile("mov %0, %%cr4" : : "r"(v | set));
	return v;
}

static void refused(uint64_t mask)
{
	static const uint64_t bad[] = {0,
				       2,
				       4,
				       6,
				       5,
				       1ull << 63 | 1,
				       1ull << 62 | 3,
				       1ull << 32 | 3,
				       1 << 8 | 3,
				       1 << 9 | 3,
				       1 << 17 | 3,
				       1 << 18 | 3,
				       1 << 3 | 3,
				       1 << 5 | 7,
				       ~0ull};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check(try(0, bad[i]) == GP, "XCR0 = %lx was taken", bad[i]);
	check(try(1, 1) == GP && try(0x80000000, 1) == GP, "another XCR was taken");
	check(try(0, mask) == -1 && xgetbv() == mask, "XCR0 = %lx was refused", mask);
}

/* What others do to MXCSR and XMM in between must not show. */
static void churn(uint64_t mask)
{
	uint64_t x = 0x0123456789abcdefull, y;
	uint32_t mxcsr = 0x7fa0, m;

	__asm__ volatile("ldmxcsr %0\n\tmovq %1, %%xmm7" : : "m"(mxcsr), "r"(x));
	for (unsigned i = 0; i < 2000; i++) {
		uint64_t want = i & 1 ? mask : 1;

		check(try(0, want) == -1, "XCR0 = %lx was refused", want);
		(void)inb(0x70); /* parks: the vmm runs, perhaps with its own state */
		check(xgetbv() == want, "XCR0 is %lx", xgetbv());
		__asm__ volatile("stmxcsr %0\n\tmovq %%xmm7, %1" : "=m"(m), "=r"(y));
		check(m == mxcsr && x == y, "MXCSR %x, xmm7 %lx", m, y);
	}
}

void guest_main(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	if (!(r[2] & 1 << 26)) {
		print("no XSAVE here");
		done();
	}
	check(try(0, 3) == UD, "XSETBV without OSXSAVE");
	cr4(OSXSAVE);
	check(xgetbv() == 1, "XCR0 is %lx after reset", xgetbv());
	cpuid(0xd, 0, r);
	check(!r[3] && !(r[0] & ~(uint32_t)OFFERED), "CPUID offers %x", r[0]);
	refused(r[0]);
	churn(r[0]);
	done();
}
