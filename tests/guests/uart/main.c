/* SPDX-License-Identifier: BSD-2-Clause */
/* The 16550: scratch register, FIFO bits, divisor latch, loop-back, line status. */
#include "guest.h"

enum { UART = 0x3f8 };

void guest_main(void)
{
	outb(UART + 7, 0x5a);
	check(inb(UART + 7) == 0x5a, "scratch %x", inb(UART + 7));
	outb(UART + 2, 0x07);
	check((inb(UART + 2) & 0xc0) == 0xc0, "no FIFOs: %x", inb(UART + 2));
	outb(UART + 3, 0x83);
	outb(UART, 1);
	outb(UART + 1, 0);
	check(inb(UART) == 1 && inb(UART + 1) == 0, "divisor %x %x", inb(UART), inb(UART + 1));
	outb(UART + 3, 0x03);
	check(inb(UART + 5) & 0x60, "line status %x", inb(UART + 5));
	outb(UART + 4, 0x1f);
	check((inb(UART + 6) & 0xf0) == 0xf0, "modem status in loop-back %x", inb(UART + 6));
	outb(UART, 'x');
	check(inb(UART + 5) & 1, "nothing came back");
	check(inb(UART) == 'x', "the wrong byte came back");
	check(!(inb(UART + 5) & 1), "it is still there");
	outb(UART + 4, 0x03);
	done();
}
