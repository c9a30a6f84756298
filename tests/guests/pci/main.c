/* SPDX-License-Identifier: BSD-2-Clause */
/* PCI configuration by ports and by memory: a host bridge at 00:00.0, ones where nothing is, BARs cannot be abused. */
#include "guest.h"

enum { ECAM = 0xe0000000u };

static uint32_t config(unsigned dev, unsigned reg)
{
	outl(0xcf8, 0x80000000u | dev << 11 | reg);
	return inl(0xcfc);
}

void guest_main(void)
{
	uint32_t id = config(0, 0);

	outl(0xcf8, 0x80000000u);
	check(inl(0xcf8) == 0x80000000u, "the address register reads %x", inl(0xcf8));
	check(id != 0xffffffff, "no host bridge");
	check(config(0, 8) >> 16 == 0x0600, "class %x", config(0, 8));
	check(inw(0xcfe) == 0x0600 && inb(0xcff) == 0x06, "narrow reads");
	check(config(31, 0) == 0xffffffff, "something at 00:1f.0: %x", config(31, 0));
	outl(0xcf8, 0x80ff0000u);
	check(inl(0xcfc) == 0xffffffff, "something on bus 255");
	check(mmio_read(ECAM) == id, "ECAM says %x", mmio_read(ECAM));
	check(mmio_read(ECAM + (31 << 15)) == 0xffffffff, "ECAM has something at 00:1f.0");
	mmio_write(ECAM, 0);
	mmio_write(ECAM + 0x10, 0xffffffff);
	check(mmio_read(ECAM) == id, "the id can be written");
	done();
}
