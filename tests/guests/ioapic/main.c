/* SPDX-License-Identifier: BSD-2-Clause */
/* The IO-APIC: registers, the PIT on pin 2, masks, and the UART's interrupt on pin 4. */
#include "guest.h"

enum {
	IOAPIC = 0xfec00000u,
	PIT_PIN = 2,
	UART_PIN = 4,
	PIT_VECTOR = 0x70,
	UART_VECTOR = 0x74,
	MASKED = 1 << 16
};

static volatile uint32_t pit, uart;

static uint32_t reg(unsigned i)
{
	mmio_write(IOAPIC, i);
	return mmio_read(IOAPIC + 0x10);
}

static void set(unsigned i, uint32_t v)
{
	mmio_write(IOAPIC, i);
	mmio_write(IOAPIC + 0x10, v);
}

static void on_pit(uint64_t vector, struct frame *f)
{
	(void)vector;
	(void)f;
	pit++;
	wrmsr(X2_EOI, 0);
}

static void on_uart(uint64_t vector, struct frame *f)
{
	(void)vector;
	(void)f;
	uart++;
	inb(0x3fa);
	outb(0x3f9, 0);
	wrmsr(X2_EOI, 0);
}

void guest_main(void)
{
	uint32_t seen;

	x2apic_enable();
	on_vector(PIT_VECTOR, on_pit);
	on_vector(UART_VECTOR, on_uart);
	check((reg(1) >> 16 & 0xff) == 23, "%u pins", (reg(1) >> 16 & 0xff) + 1);
	set(0x10 + PIT_PIN * 2 + 1, 0);
	set(0x10 + PIT_PIN * 2, PIT_VECTOR);
	check(reg(0x10 + PIT_PIN * 2) == PIT_VECTOR, "redirection reads %x",
	      reg(0x10 + PIT_PIN * 2));
	outb(0x43, 0x34);
	outb(0x40, 11932 & 0xff);
	outb(0x40, 11932 >> 8);
	while (pit < 3)
		sti_hlt();
	set(0x10 + PIT_PIN * 2, MASKED | PIT_VECTOR);
	seen = pit;
	for (uint64_t end = rdtsc() + 50000000; rdtsc() < end;)
		pause();
	check(pit <= seen + 1, "a masked pin fired");
	set(0x10 + UART_PIN * 2, UART_VECTOR);
	outb(0x3fc, 0x08); /* OUT2 */
	outb(0x3f9, 0x02); /* transmitter empty */
	for (uint64_t end = rdtsc() + 1000000000; !uart;)
		check(rdtsc() < end, "the UART does not interrupt");
	done();
}
