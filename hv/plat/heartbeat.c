/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Under QEMU's TCG only: an interrupt 50 times a second that asks for nothing. Its #VMEXIT clears a bit in the word of the
 * CPU's pending interrupts without keeping off the threads that set others (do_vmexit; seen in 7.2, read in later ones),
 * so one that comes just then is forgotten. The APIC still has the request, and the next interrupt for this CPU brings
 * both. Without it an idle machine could sleep for ever.
 */
#include "hv/cpu/cpu.h"
#include "hv/cpu/x86.h"
#include "hv/lib/log.h"
#include "hv/plat/init.h"

#define PIT_HZ 1193182u
#define BEAT_HZ 50u
#define PIT_CHANNEL0 0x40
#define PIT_COMMAND 0x43
#define PIT_RATE 0x34 /* channel 0, low then high byte, mode 2 */
#define PIT_GSI 0     /* as an ISA interrupt: ACPI says where it goes */

/* To the boot CPU; it passes it on. */
static void beat(void *ctx)
{
	(void)ctx;
	for (unsigned i = 1; i < n_cpus; i++)
		ipi_send(i, VEC_POSTED);
}

void heartbeat_init(void)
{
	const uint16_t count = PIT_HZ / BEAT_HZ;
	unsigned irq;

	if (!cpu_features.tcg)
		return;
	if (irq_alloc_gsi(PIT_GSI, 0, beat, NULL, &irq)) {
		log_printf("no timer interrupt: QEMU may forget other ones");
		return;
	}
	outb(PIT_COMMAND, PIT_RATE);
	outb(PIT_CHANNEL0, (uint8_t)count);
	outb(PIT_CHANNEL0, count >> 8);
}
