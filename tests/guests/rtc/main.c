/* SPDX-License-Identifier: BSD-2-Clause */
/* The clock chip gives a date after 2020 in the mode it says, and its seconds move. */
#include "guest.h"

static uint8_t cmos(uint8_t i)
{
	outb(0x70, i);
	return inb(0x71);
}

void guest_main(void)
{
	bool binary = cmos(0xb) & 4;
	uint8_t year = cmos(9), month = cmos(8), start;

	if (!binary) {
		year = (uint8_t)((year >> 4) * 10 + (year & 15));
		month = (uint8_t)((month >> 4) * 10 + (month & 15));
	}
	check(year >= 20 && year < 100, "year %u", year);
	check(month >= 1 && month <= 12, "month %u", month);
	check(cmos(0xd) & 0x80, "the battery is flat");
	start = cmos(0);
	for (uint64_t end = rdtsc() + 8000000000ull; cmos(0) == start;)
		check(rdtsc() < end, "the seconds stand still");
	done();
}
