/* SPDX-License-Identifier: BSD-2-Clause */
/* Sixteen CPUs start by INIT and SIPI, have ids of their own, and reach each other by IPI. */
#include "guest.h"

enum { OTHERS = 15, VECTOR = 0x61 };

static volatile uint32_t ids, got, answers;

static void on_ipi(uint64_t vector, struct frame *f)
{
	(void)vector;
	(void)f;
	__atomic_fetch_or(&got, 1u << rdmsr(X2_ID), __ATOMIC_SEQ_CST);
	wrmsr(X2_EOI, 0);
}

void ap_main(unsigned n)
{
	(void)n;
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 0xc00);
	wrmsr(X2_SVR, 0x1ff);
	__atomic_fetch_or(&ids, 1u << rdmsr(X2_ID), __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&answers, 1, __ATOMIC_SEQ_CST);
	for (;;)
		sti_hlt();
}

static bool wait_for(volatile uint32_t *word, uint32_t value)
{
	uint64_t deadline = rdtsc() + 4000000000ull;

	while (*word != value && rdtsc() < deadline)
		pause();
	return *word == value;
}

void guest_main(void)
{
	x2apic_enable();
	on_vector(VECTOR, on_ipi);
	check(ap_start(OTHERS), "%u of %u CPUs came", ap_count, OTHERS);
	check(wait_for(&answers, OTHERS), "%u of %u CPUs answered", answers, OTHERS);
	check(ids == 0xfffe, "ids %x", ids);
	wrmsr(X2_ICR, 0xc0000 | VECTOR); /* all but self */
	check(wait_for(&got, 0xfffe), "the broadcast reached %x", got);
	got = 0;
	wrmsr(X2_ICR, 5ull << 32 | VECTOR);
	check(wait_for(&got, 1u << 5), "the IPI to 5 reached %x", got);
	got = 0;
	wrmsr(X2_ICR,
	      0x0000000aull << 32 | 0x800 | VECTOR); /* logical, cluster 0, members 1 and 3 */
	check(wait_for(&got, 0xa), "the logical IPI reached %x", got);
	done();
}
