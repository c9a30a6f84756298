/* SPDX-License-Identifier: BSD-2-Clause */
/* A hundred thousand IPIs and NMIs to itself and to a CPU that does not answer: the guest slows itself, nothing else happens. */
#include "guest.h"

enum { VECTOR = 0x63, STORM = 100000 };

static volatile uint32_t got;

static void on_ipi(uint64_t vector, struct frame *f)
{
	(void)vector;
	(void)f;
	got++;
	wrmsr(X2_EOI, 0);
}

static void on_nmi(uint64_t vector, struct frame *f)
{
	(void)vector;
	(void)f;
}

void ap_main(unsigned n)
{
	(void)n;
	cli();
	for (;;)
		__asm__ volatile("hlt");
}

void guest_main(void)
{
	x2apic_enable();
	on_vector(VECTOR, on_ipi);
	on_vector(2, on_nmi);
	check(ap_start(1), "the other CPU did not start");
	sti();
	for (unsigned i = 0; i < STORM / 4; i++)
		wrmsr(X2_ICR, 1ull << 32 | VECTOR);
	for (unsigned i = 0; i < STORM / 4; i++)
		wrmsr(X2_ICR, 1ull << 32 | 0x400); /* NMI to it */
	for (unsigned i = 0; i < STORM / 2; i++)
		wrmsr(X2_SELF, VECTOR);
	check(got > 0 && got <= STORM / 2, "%u interrupts", got);
	done();
}
