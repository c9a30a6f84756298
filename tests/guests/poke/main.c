/* SPDX-License-Identifier: BSD-2-Clause */
/* For a host that corrupts what is kept of this guest's devices: reads and writes all of their registers for ever, whatever they answer. */
#include "guest.h"

enum {
	CMOS = 0x70,
	PM = 0x600,
	GPE = 0x620,
	PCI_ADDRESS = 0xcf8,
	PCI_DATA = 0xcfc,
	ECAM = 0xe0000000u
};
enum { ROUNDS_TOLD = 20 };

static uint32_t x = 1;

static uint32_t next(void)
{
	x ^= x << 13, x ^= x >> 17, x ^= x << 5;
	return x;
}

static void clock(uint32_t r)
{
	outb(CMOS, (uint8_t)(r & 0x7f));
	outb(CMOS + 1, (uint8_t)(r >> 8));
	(void)inb(CMOS + 1);
}

static void power(uint32_t r)
{
	(void)inl(PM + (r & 8));
	outw(PM, (uint16_t)(r >> 16));
	outw(PM + 2, (uint16_t)(r >> 8));
	outw(PM + 4, (uint16_t)(r & 0x1c00)); /* not to sleep */
	outl(GPE, r);
	(void)inl(GPE);
}

static void pci(uint32_t r)
{
	outl(PCI_ADDRESS, 0x80000000 | (r & 0x1ffffc));
	outl(PCI_DATA, r * 3);
	(void)inl(PCI_DATA);
	mmio_write(ECAM + (r >> 12 & 0xffffc), r);
	(void)mmio_read(ECAM + (r & 0x7ffc));
}

void guest_main(void)
{
	pic_mask_all();
	for (uint32_t round = 0;; round++) {
		clock(next());
		power(next());
		pci(next());
		if (round % ROUNDS_TOLD == 0)
			print("round %u", round);
	}
}
