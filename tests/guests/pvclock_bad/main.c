/* SPDX-License-Identifier: BSD-2-Clause */
/* KVM clock addresses that are no RAM, wrap around or reach over its end: #GP, and the clock stays as it was. */
#include "guest.h"

enum { GP = 13, SYSTEM_TIME = 0x4b564d01, WALL_CLOCK = 0x4b564d00, RAM_END = 16 << 20 };

struct msr {
	uint32_t number;
	uint64_t value;
};

static uint8_t page[64] __attribute__((aligned(64)));

static void write(void *arg)
{
	const struct msr *m = arg;

	wrmsr(m->number, m->value);
}

static void refused(uint32_t number, uint64_t value)
{
	struct msr m = {number, value};

	check(catch_trap(write, &m) == GP, "%lx was taken for MSR %x", value, number);
}

void guest_main(void)
{
	static const uint64_t bad[] = {
		RAM_END,    RAM_END - 4, RAM_END - 8, 0xfee00000,         0xfec00000,
		0xe0000000, 0xffffffff,  0x100000000, 0x7ffffffffffff000, 1ull << 46,
		1ull << 47, 1ull << 48,  1ull << 51,  1ull << 52,         ~0xfull,
		~0ull,
	};
	static const uint64_t alias[] = {1ull << 39, 1ull << 47, 1ull << 48, 1ull << 49,
					 1ull << 51, 1ull << 52, 1ull << 63};
	uint64_t at = (uint64_t)page;
	uint8_t was[64];

	wrmsr(SYSTEM_TIME, at | 1);
	for (unsigned i = 0; i < sizeof(was); i++)
		was[i] = page[i];
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		refused(SYSTEM_TIME, bad[i] | 1);
		refused(WALL_CLOCK, bad[i]);
		check(rdmsr(SYSTEM_TIME) == (at | 1), "the clock's MSR became %lx",
		      rdmsr(SYSTEM_TIME));
	}
	for (unsigned i = 0; i < sizeof(alias) / sizeof(alias[0]);
	     i++) /* the same RAM by another name */
		refused(SYSTEM_TIME, alias[i] | at | 1);
	for (unsigned i = 0; i < sizeof(was); i++)
		check(page[i] == was[i], "byte %u of the clock page changed", i);
	wrmsr(SYSTEM_TIME, RAM_END - 32 + 1); /* the last place where it fits */
	check(*(volatile uint32_t *)(uint64_t)(RAM_END - 32), "no clock at the end of RAM");
	for (uint64_t odd = 1; odd < 64;
	     odd += 2) /* not aligned, across pages: strange and harmless */
		wrmsr(SYSTEM_TIME, 0x201000 - 32 + odd + 1 - (odd & 1));
	done();
}
