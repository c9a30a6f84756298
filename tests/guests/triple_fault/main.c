/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest that triple-faults ends as crashed, with the reason. */
#include "guest.h"

void guest_main(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = {0, 0};

	print("about to triple-fault");
	__asm__ volatile("lidt %0\n\tud2" : : "m"(none));
	fail("still alive");
}
