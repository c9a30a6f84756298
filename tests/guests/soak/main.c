/* SPDX-License-Identifier: BSD-2-Clause */
/* For a host whose programs keep dying: every access that the vmm answers is checked against what must come, none may be lost,
 * done twice or answered by another's value; time goes on; and the longest wait for an answer is measured. */
#include "guest.h"

enum {
	CMOS_INDEX = 0x70,
	CMOS_DATA = 0x71,
	CMOS_FIRST = 0x40,
	CMOS_BYTES = 0x30,
	PCI_ADDRESS = 0xcf8,
	PCI_DATA = 0xcfc
};
enum { ROUNDS_TOLD = 200 };

static uint64_t last, longest;

/* Around each access: time never goes back, and how long it took. */
static void passed(uint64_t start)
{
	uint64_t now = rdtsc();

	check(start >= last && now > start, "time went back: %lx, %lx, %lx", last, start, now);
	last = now;
	if (now - start > longest)
		longest = now - start;
}

static void out(uint16_t port, uint8_t v)
{
	uint64_t start = rdtsc();

	outb(port, v);
	passed(start);
}

static uint8_t in(uint16_t port)
{
	uint64_t start = rdtsc();
	uint8_t v = inb(port);

	passed(start);
	return v;
}

static uint8_t pattern(uint32_t round, unsigned i)
{
	return (uint8_t)(round * 31 + i * 7 + 1);
}

static void cmos(uint32_t round)
{
	for (unsigned i = 0; i < CMOS_BYTES; i++) {
		uint8_t v;

		out(CMOS_INDEX, (uint8_t)(CMOS_FIRST + i));
		v = in(CMOS_DATA);
		check(!round || v == pattern(round - 1, i), "round %u, CMOS %u: %x, not %x", round,
		      i, v, pattern(round - 1, i));
		out(CMOS_DATA, pattern(round, i));
		v = in(CMOS_DATA);
		check(v == pattern(round, i), "round %u, CMOS %u just written: %x, not %x", round,
		      i, v, pattern(round, i));
	}
}

static void pci(uint32_t first)
{
	uint32_t v;

	outl(PCI_ADDRESS, 0x80000000);
	v = inl(PCI_DATA);
	check(v == first && inl(PCI_ADDRESS) == 0x80000000, "PCI function 0 is %x, not %x", v,
	      first);
}

static uint64_t us(uint64_t ticks)
{
	uint32_t r[4];

	cpuid(0x40000010, 0, r); /* kHz */
	return ticks * 1000 / r[0];
}

void guest_main(void)
{
	uint32_t first;

	pic_mask_all();
	outl(PCI_ADDRESS, 0x80000000);
	first = inl(PCI_DATA);
	last = rdtsc();
	for (uint32_t round = 0;; round++) {
		cmos(round);
		pci(first);
		if (round % ROUNDS_TOLD == 0)
			print("round %u, longest %lu us", round, us(longest));
		if (round == 0)
			print("ok soak");
	}
}
