/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads and writes of every port in every width, and a storm on one of them: nothing breaks, nobody there reads as ones. */
#include "guest.h"

static bool harmless(unsigned port)
{
	/* Not the console, not the ports that reset or switch off the machine. */
	return !(port >= 0x3f8 && port < 0x400) && !(port >= 0x600 && port < 0x640) &&
	       port != 0xcf9 && port != 0x64 && port != 0x92 && !(port >= 0xcf6 && port < 0xd00) &&
	       port != 0x60;
}

void guest_main(void)
{
	pic_mask_all();
	for (unsigned port = 0; port < 0x10000; port += port < 0x1000 ? 1 : 97) {
		if (!harmless(port) || !harmless(port + 3))
			continue;
		inb((uint16_t)port);
		inw((uint16_t)port);
		inl((uint16_t)port);
		outb((uint16_t)port, 0xa5);
		outw((uint16_t)port, 0xa5a5);
		outl((uint16_t)port, 0xa5a5a5a5);
	}
	for (unsigned i = 0; i < 100000; i++)
		outb(0x1234, (uint8_t)i);
	check(inb(0x1234) == 0xff && inw(0x1234) == 0xffff && inl(0x1234) == 0xffffffff,
	      "ports nobody has do not read as ones");
	done();
}
