/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest that computes for ever with interrupts off, on all its CPUs. */
#include "guest.h"

void ap_main(unsigned n)
{
	(void)n;
	for (;;)
		__asm__ volatile("");
}

void guest_main(void)
{
	uint32_t r[4];

	x2apic_enable();
	cli();
	cpuid(1, 0, r);
	if ((r[1] >> 16 & 0xff) > 1)
		ap_start(1);
	print("spinning");
	for (;;)
		__asm__ volatile("");
}
