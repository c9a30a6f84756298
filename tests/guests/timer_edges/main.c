/* SPDX-License-Identifier: BSD-2-Clause */
/* Timers with the most awkward values: long past, never, the shortest periods of all timers at once, every divider. Each
 * interrupt that is due comes, none comes that is not, and the guest still gets on with its work. */
#include "guest.h"

enum { VECTOR = 0x62, PIT_VECTOR = 0x30, PERIODIC = 1 << 17, DEADLINE = 2 << 17 };

static volatile uint32_t ticks, pit_ticks;

static void on_timer(uint64_t vector, struct frame *f)
{
	(void)f;
	if (vector == VECTOR)
		ticks++;
	else
		pit_ticks++;
	wrmsr(X2_EOI, 0);
}

static void spin(uint64_t cycles)
{
	for (uint64_t t = rdtsc(); rdtsc() - t < cycles;)
		pause();
}

static void expect(uint32_t n, const char *what)
{
	spin(20000000);
	check(ticks == n, "%s: %u ticks, not %u", what, ticks, n);
	ticks = 0;
}

static void deadlines(void)
{
	wrmsr(X2_LVT_TIMER, DEADLINE | VECTOR);
	wrmsr(MSR_TSC_DEADLINE, 1);
	expect(1, "deadline 1");
	wrmsr(MSR_TSC_DEADLINE, ~0ull);
	expect(0, "deadline ~0");
	check(rdmsr(MSR_TSC_DEADLINE) == ~0ull, "deadline reads %lx", rdmsr(MSR_TSC_DEADLINE));
	wrmsr(MSR_TSC_DEADLINE, 1ull << 63);
	expect(0, "deadline 2^63");
	wrmsr(MSR_TSC_DEADLINE, rdtsc() - 1);
	expect(1, "deadline just past");
	wrmsr(X2_TMICT, 1); /* ignored in this mode */
	expect(0, "count in deadline mode");
	wrmsr(MSR_TSC_DEADLINE, ~0ull);
	wrmsr(X2_LVT_TIMER, VECTOR); /* disarms */
	wrmsr(MSR_TSC_DEADLINE, 1);  /* ignored in this mode */
	expect(0, "deadline in one-shot mode");
	wrmsr(X2_LVT_TIMER, 3 << 17 | VECTOR);
	wrmsr(MSR_TSC_DEADLINE, 1);
	expect(0, "reserved mode");
}

static void counts(void)
{
	for (unsigned d = 0; d < 16; d++) {
		if (d & 4)
			continue;
		wrmsr(X2_TDCR, d);
		wrmsr(X2_LVT_TIMER, VECTOR);
		wrmsr(X2_TMICT, ~0u);
		check(rdmsr(X2_TMCCT) > 0x80000000, "the count is %lx", rdmsr(X2_TMCCT));
		wrmsr(X2_TMICT, 1);
		expect(1, "one-shot of 1");
	}
}

/* The shortest periods of the PIT and the APIC together. */
static void storm(void)
{
	wrmsr(X2_TDCR, 0xb);
	mmio_write(0xfec00000, 0x10 + 2 * 2);
	mmio_write(0xfec00010, PIT_VECTOR);
	wrmsr(X2_LVT_TIMER, PERIODIC | VECTOR);
	wrmsr(X2_TMICT, 1);
	for (uint8_t mode = 0; mode < 6; mode++) {
		outb(0x43, (uint8_t)(0x30 | mode << 1));
		for (unsigned i = 0; i < 200; i++) {
			outb(0x40, i & 1 ? 1 : 2);
			outb(0x40, 0);
		}
		spin(1000000);
	}
	outb(0x43, 0x34);
	outb(0x40, 1);
	outb(0x40, 0);
	ticks = pit_ticks = 0;
	spin(200000000);
	check(ticks && pit_ticks, "%u ticks of the APIC, %u of the PIT", ticks, pit_ticks);
	wrmsr(X2_TMICT, 0);
	outb(0x43, 0x30);
}

void guest_main(void)
{
	x2apic_enable();
	on_vector(VECTOR, on_timer);
	on_vector(PIT_VECTOR, on_timer);
	sti();
	deadlines();
	counts();
	storm();
	done();
}
