/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8254's channel 0 interrupts through the 8259 and the local APIC's LINT0, periodically and once; reading back works. */
#include "guest.h"

enum { BASE = 0x20 };

static volatile uint32_t ticks;

static void on_irq0(uint64_t vector, struct frame *f)
{
	(void)vector;
	(void)f;
	ticks++;
	outb(0x20, 0x20);
}

static void pic_init(void)
{
	outb(0x20, 0x11);
	outb(0x21, BASE);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0xa0, 0x11);
	outb(0xa1, BASE + 8);
	outb(0xa1, 2);
	outb(0xa1, 1);
	outb(0x21, 0xfe);
	outb(0xa1, 0xff);
	check(inb(0x21) == 0xfe, "the mask reads %x", inb(0x21));
}

static uint16_t pit_count(void)
{
	uint16_t low;

	outb(0x43, 0);
	low = inb(0x40);
	return (uint16_t)(low | inb(0x40) << 8);
}

void guest_main(void)
{
	uint16_t a;

	pic_init();
	on_vector(BASE, on_irq0);
	outb(0x43, 0x34); /* channel 0, mode 2 */
	outb(0x40, 11932 & 0xff);
	outb(0x40, 11932 >> 8); /* 10 ms */
	a = pit_count();
	check(a <= 11932, "the count is %u", a);
	while (ticks < 5)
		sti_hlt();
	cli();
	outb(0x43, 0x30); /* mode 0: once */
	outb(0x40, 0x00);
	outb(0x40, 0x10);
	ticks = 0;
	while (!ticks)
		sti_hlt(); /* not before: the only one might come between the look and HLT */
	for (uint64_t end = rdtsc() + 20000000; rdtsc() < end;)
		pause();
	check(ticks == 1, "mode 0 fired %u times", ticks);
	/* Channel 2 with its gate, by port 0x61: how Linux measures the TSC. */
	outb(0x61, (uint8_t)((inb(0x61) & ~2) | 1));
	outb(0x43, 0xb0);
	outb(0x42, 0xff);
	outb(0x42, 0x0f);
	check(!(inb(0x61) & 0x20), "channel 2 is high at once");
	for (uint64_t end = rdtsc() + 2000000000; !(inb(0x61) & 0x20);)
		check(rdtsc() < end, "channel 2 never ends");
	done();
}
