/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptor tables where there is no memory: the delivery of an exception, then of interrupts, reads what nobody
 * answers. Whatever becomes of this guest, it becomes so soon, and of nobody else. */
#include "guest.h"

static const struct {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed)) nowhere = {0xfff, 0xd0000000};

void guest_main(void)
{
	print("about to");
	__asm__ volatile("lidt %0" : : "m"(nowhere));
	__asm__ volatile("ud2");
	for (;;)
		pause();
}
