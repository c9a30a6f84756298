/* SPDX-License-Identifier: BSD-2-Clause */
/* Debug registers: they keep their values over exits and turns of another vCPU that has its own; and
 * breakpoints set on addresses where hv and programs run do nothing to them. */
#include "guest.h"

#define HV_TEXT 0xffffffff80201000ull
#define PROGRAM 0x400000ull
#define DR7_NONE 0x400ull
#define DR7_EXECUTE_0 0x402ull   /* G0 */
#define DR7_EXECUTE_ALL 0x4aaull /* G0 .. G3 */

static volatile uint32_t hits;
static volatile bool stop;

static void set_dr(const uint64_t a[4], uint64_t dr7)
{
	__asm__ volatile(
		"mov %0, %%db0\n\tmov %1, %%db1\n\tmov %2, %%db2\n\tmov %3, %%db3\n\tmov %4, %%db7"
		:
		: "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(dr7));
}

static bool same_dr(const uint64_t a[4])
{
	uint64_t b[4];

	__asm__ volatile("mov %%db0, %0\n\tmov %%db1, %1\n\tmov %%db2, %2\n\tmov %%db3, %3"
			 : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3]));
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

void ap_main(unsigned n)
{
	const uint64_t mine[4] = {n, n + 0x10, n + 0x20, n + 0x30};

	set_dr(mine, DR7_NONE);
	while (!stop)
		check(same_dr(mine), "CPU %u has another's debug registers", n);
	for (;;)
		__asm__ volatile("cli; hlt");
}

__attribute__((noinline)) static void target(void)
{
	__asm__ volatile("nop");
}

static void on_debug(uint64_t vector, struct frame *f)
{
	(void)vector;
	hits++;
	check(f->rip == (uint64_t)target, "#DB at %lx", f->rip);
	f->rflags |= 1 << 16; /* RF: past it */
}

/* Every fourth address of [base, base + len), four at a time, with exits. */
static void sweep(uint64_t base, uint64_t len)
{
	uint32_t r[4];

	for (uint64_t a = base; a < base + len; a += 16) {
		const uint64_t at[4] = {a, a + 4, a + 8, a + 12};

		set_dr(at, DR7_EXECUTE_ALL);
		cpuid(0, 0, r);
		(void)inb(0x70); /* parks: the vmm runs */
	}
}

void guest_main(void)
{
	const uint64_t mine[4] = {(uint64_t)target, 1, 2, 3};

	x2apic_enable();
	on_vector(1, on_debug);
	set_dr(mine, DR7_EXECUTE_0);
	for (unsigned i = 0; i < 100; i++) {
		target();
		check(same_dr(mine), "the debug registers have changed");
	}
	if (!hits) /* an emulator that cannot keep guests' breakpoints apart */
		print("breakpoints do not hit");
	set_dr(mine, DR7_NONE);
	check(ap_start(2), "the other CPUs did not start");
	for (unsigned i = 0; i < 2000; i++)
		check(same_dr(mine), "CPU 0 has another's debug registers");
	stop = true;
	sweep(HV_TEXT, 0x22000);
	sweep(PROGRAM, 0x2000);
	check(hits == 0 || hits == 100, "%u hits", hits);
	done();
}
