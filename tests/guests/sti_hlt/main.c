/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * STI; HLT with an interrupt waiting: it comes in after HLT, never between the two (SDM2 STI), whatever the host is
 * interrupted by meanwhile. Otherwise the vCPU sleeps although it has been woken. A timer, of which the host knows, makes
 * it leave at all places.
 */
#include "guest.h"

enum { VECTOR = 0x71, TIMER = 0x62, PERIODIC = 1 << 17, DIVIDE_BY_1 = 0xb, ROUNDS = 30000 };

extern const uint8_t at_hlt[];
static volatile uint32_t early, woken, ticks;

static void on_interrupt(uint64_t vector, struct frame *f)
{
	early += f->rip == (uint64_t)at_hlt;
	if (vector == VECTOR)
		woken++;
	else
		ticks++;
	wrmsr(X2_EOI, 0);
}

static __attribute__((noinline)) void sleep_once(void)
{
	__asm__ volatile("sti\n\t.globl at_hlt\nat_hlt:\thlt\n\tcli" : : : "memory");
}

void guest_main(void)
{
	x2apic_enable();
	on_vector(VECTOR, on_interrupt);
	on_vector(TIMER, on_interrupt);
	wrmsr(X2_TDCR, DIVIDE_BY_1);
	wrmsr(X2_LVT_TIMER, PERIODIC | TIMER);
	wrmsr(X2_TMICT, 100000); /* 100 us */
	for (uint32_t i = 0; i < ROUNDS; i++) {
		wrmsr(X2_SELF, VECTOR);
		sleep_once();
	}
	check(ticks > 100 && woken == ROUNDS, "%u ticks, %u of %u interrupts", ticks, woken,
	      ROUNDS);
	check(early == 0, "%u interrupts between STI and HLT", early);
	done();
}
