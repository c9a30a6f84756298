/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC's timer: one-shot, periodic, TSC deadline; not early, not much too late; it stops when told. */
#include "guest.h"

enum { VECTOR = 0x62, PERIODIC = 1 << 17, DEADLINE = 2 << 17, DIVIDE_BY_1 = 0xb };

static volatile uint32_t ticks;

static void on_timer(uint64_t vector, struct frame *f)
{
	(void)vector;
	(void)f;
	ticks++;
	wrmsr(X2_EOI, 0);
}

static void wait_ticks(uint32_t n)
{
	uint64_t deadline = rdtsc() + 20000000000ull;

	while (ticks < n && rdtsc() < deadline)
		sti_hlt();
	check(ticks >= n, "%u ticks of %u", ticks, n);
}

void guest_main(void)
{
	uint64_t start;

	x2apic_enable();
	on_vector(VECTOR, on_timer);
	wrmsr(X2_TDCR, DIVIDE_BY_1);

	wrmsr(X2_LVT_TIMER, VECTOR);
	wrmsr(X2_TMICT, 4000000000u); /* 4 s of the 1 GHz bus */
	check(rdmsr(X2_TMCCT) < 4000000000u && rdmsr(X2_TMCCT) > 0, "the count does not run down");
	wrmsr(X2_TMICT, 2000000);
	wait_ticks(1);
	check(rdmsr(X2_TMCCT) == 0, "one-shot runs on");

	ticks = 0;
	wrmsr(X2_LVT_TIMER, PERIODIC | VECTOR);
	wrmsr(X2_TMICT, 1000000);
	wait_ticks(10);
	wrmsr(X2_TMICT, 0);

	ticks = 0;
	wrmsr(X2_LVT_TIMER, DEADLINE | VECTOR);
	start = rdtsc();
	wrmsr(MSR_TSC_DEADLINE, start + 3000000);
	wait_ticks(1);
	check(rdtsc() >= start + 3000000, "deadline came early");
	check(rdmsr(MSR_TSC_DEADLINE) == 0, "deadline is still armed");
	start = rdtsc();
	wrmsr(MSR_TSC_DEADLINE,
	      start + 200000000); /* far: being preempted here must not make it fire */
	wrmsr(MSR_TSC_DEADLINE, 0);
	while (rdtsc() < start + 300000000)
		pause();
	check(ticks == 1, "a disarmed deadline fired");
	done();
}
