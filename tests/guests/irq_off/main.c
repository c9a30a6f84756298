/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No interrupt comes in while IF is 0, whatever makes one deliverable then and whatever the host is interrupted by: a
 * self-IPI, the EOI of a handler that others wait behind, a lower task priority; also behind another CLI. A timer, of which
 * the host knows, makes it leave at all places.
 */
#include "guest.h"

enum { LOW = 0x51, SAME = 0x52, HIGH = 0x71, TIMER = 0x62, PERIODIC = 1 << 17, DIVIDE_BY_1 = 0xb };
enum { PERIOD_NS = 400000, ROUNDS = 100, SPINS = 4000 };

static volatile uint32_t early, taken, ticks;

static __attribute__((noinline)) void spin(void)
{
	for (volatile uint32_t i = 0; i < SPINS; i++)
		;
}

static void spin_off(void)
{
	spin();
	cli(); /* it is 0 already */
	spin();
}

static void count(struct frame *f)
{
	early += !(f->rflags & 1 << 9);
	taken++;
}

static void on_tick(uint64_t vector, struct frame *f)
{
	(void)vector;
	count(f);
	taken--;
	ticks++;
	wrmsr(X2_EOI, 0);
}

/* Behind its EOI the others could come, but for IF. */
static void on_other(uint64_t vector, struct frame *f)
{
	(void)vector;
	count(f);
	wrmsr(X2_EOI, 0);
	spin_off();
}

static void self_ipi(void)
{
	cli();
	wrmsr(X2_SELF, LOW);
	spin_off();
	sti();
}

static void waiting_behind(void)
{
	cli();
	wrmsr(X2_SELF, LOW);
	wrmsr(X2_SELF, SAME);
	wrmsr(X2_SELF, HIGH);
	sti();
	pause();
}

static void task_priority(void)
{
	wrmsr(X2_TPR, 0x80);
	wrmsr(X2_SELF, LOW);
	cli();
	wrmsr(X2_TPR, 0);
	spin_off();
	sti();
}

static void rounds(const char *what, void (*fn)(void), uint32_t each)
{
	early = taken = 0;
	for (uint32_t i = 0; i < ROUNDS; i++) {
		fn();
		spin();
	}
	print("%s: %u of %u came, %u with interrupts off", what, taken, ROUNDS * each, early);
	check(taken == ROUNDS * each && early == 0, "%s", what);
}

void guest_main(void)
{
	x2apic_enable();
	on_vector(LOW, on_other);
	on_vector(SAME, on_other);
	on_vector(HIGH, on_other);
	on_vector(TIMER, on_tick);
	wrmsr(X2_TDCR, DIVIDE_BY_1);
	wrmsr(X2_LVT_TIMER, PERIODIC | TIMER);
	wrmsr(X2_TMICT, PERIOD_NS);
	sti();
	rounds("self-IPI", self_ipi, 1);
	rounds("waiting behind others", waiting_behind, 3);
	rounds("task priority", task_priority, 1);
	check(ticks > 100, "%u ticks", ticks);
	done();
}
