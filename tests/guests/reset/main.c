/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest resets itself by each of the ways there are; battery-backed CMOS bytes count how often. */
#include "guest.h"

enum { COUNTER = 0x50, MAGIC = 0x51 };

static uint8_t cmos(uint8_t i)
{
	outb(0x70, i);
	return inb(0x71);
}

static void set_cmos(uint8_t i, uint8_t v)
{
	outb(0x70, i);
	outb(0x71, v);
}

void guest_main(void)
{
	uint8_t n = cmos(MAGIC) == 0x5a ? cmos(COUNTER) : 0;

	print("start %u", n);
	set_cmos(MAGIC, 0x5a);
	set_cmos(COUNTER, (uint8_t)(n + 1));
	if (n == 0)
		outb(0xcf9, 0x06);
	else if (n == 1)
		outb(0x64, 0xfe);
	else if (n == 2)
		outb(0x92, 0x01);
	else
		done();
	for (uint64_t end = rdtsc() + 3000000000ull; rdtsc() < end;)
		pause();
	fail("reset %u did nothing", n);
}
