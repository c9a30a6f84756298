/* SPDX-License-Identifier: BSD-2-Clause */
/* INS and OUTS with and without REP, forwards and backwards, from ports nobody has and to the console. */
#include "guest.h"

static const char text[] = "a line by rep outsb\n";
static uint16_t words[2048];

void guest_main(void)
{
	const char *from = text;
	uint16_t *to = words + 2047;
	uint64_t n = sizeof(text) - 1;

	__asm__ volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(0x3f8) : "memory");
	check(n == 0 && from == text + sizeof(text) - 1, "rep outsb ends at %lx, %lu left",
	      (uint64_t)from, n);
	n = 2047;
	__asm__ volatile("std\n\trep insw\n\tcld" : "+D"(to), "+c"(n) : "d"(0x1234) : "memory");
	check(n == 0 && to == words, "rep insw backwards ends at %lx, %lu left", (uint64_t)to, n);
	check(words[0] == 0 && words[1] == 0xffff && words[2047] == 0xffff, "rep insw: %x %x %x",
	      words[0], words[1], words[2047]);
	to = words;
	__asm__ volatile("insw" : "+D"(to) : "d"(0x1234) : "memory");
	check(to == words + 1 && words[0] == 0xffff, "insw: %x", words[0]);
	done();
}
