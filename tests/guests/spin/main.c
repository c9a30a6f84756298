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
	x2apic_enable();
	cli();
	ap_start(1);
	print("spinning");
	for (;;)
		__asm__ volatile("");
}
