/* SPDX-License-Identifier: BSD-2-Clause */
/* INS, OUTS and string moves on device memory with hostile operands: huge counts, addresses that wrap, end, or have no
 * page, device memory as the operand. Each ends in the fault a CPU gives, with the registers of the element at fault. */
#include "guest.h"

enum { GP = 13, PF = 14, PORT = 0x1234, LAPIC = 0xfee00000, RAM_END = 16 << 20 };

struct regs {
	uint64_t si, di, c;
	bool in, narrow; /* 32-bit addresses */
};

static uint8_t buffer[8192] __attribute__((aligned(4096)));
static volatile uint64_t cr2;

static void io(void *arg)
{
	struct regs *r = arg;

	if (r->in && r->narrow)
		__asm__ volatile("addr32 rep insb"
				 : "+D"(r->di), "+c"(r->c)
				 : "d"(PORT)
				 : "memory");
	else if (r->in)
		__asm__ volatile("rep insb" : "+D"(r->di), "+c"(r->c) : "d"(PORT) : "memory");
	else
		__asm__ volatile("rep outsw" : "+S"(r->si), "+c"(r->c) : "d"(PORT) : "memory");
}

static void on_fault(uint64_t vector, struct frame *f)
{
	(void)vector;
	__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
	f->rip += 2; /* rep insb, rep movsb: over it */
}

static void insb(uint64_t *di, uint64_t *c)
{
	uint64_t d = *di, n = *c;

	__asm__ volatile("rep insb" : "+D"(d), "+c"(n) : "d"(PORT) : "memory");
	*di = d;
	*c = n;
}

static int outcome(struct regs r)
{
	return catch_trap(io, &r);
}

static void unmap(uint64_t gva, bool away)
{
	extern uint64_t pml4[];
	uint64_t *pdpt = (uint64_t *)(pml4[0] & ~0xfffull),
		 *pd = (uint64_t *)(pdpt[gva >> 30] & ~0xfffull);
	uint64_t *e = &pd[gva >> 21 & 511];

	*e = away ? *e & ~1ull : *e | 1;
	__asm__ volatile("invlpg (%0)" : : "r"(gva) : "memory");
}

/* The page behind RAM_END - 2 MiB + 4 KiB is taken away: the burst ends there, exactly. */
static void at_the_end(void)
{
	uint64_t di = 0xe00000 - 100, c = ~0ull;

	on_vector(PF, on_fault);
	unmap(0xe00000, true);
	insb(&di, &c);
	check(di == 0xe00000 && c == ~0ull - 100 && cr2 == 0xe00000,
	      "rep insb ended at %lx, %lx left, CR2 %lx", di, c, cr2);
	unmap(0xe00000, false);
	on_vector(PF, NULL);
}

static void wrap_32(void)
{
	struct regs r = {.in = true, .narrow = true, .di = (uint64_t)buffer, .c = 0xabcd00000010};

	io(&r);
	check(r.di == (uint64_t)buffer + 16 && r.c == 0, "addr32 rep insb ended at %lx, %lx left",
	      r.di, r.c);
	r = (struct regs){.in = true, .narrow = true, .di = (uint64_t)buffer, .c = 0xabcd00000000};
	io(&r);
	check((uint32_t)r.di == (uint32_t)(uint64_t)buffer, "a count of 0 moved something: %lx",
	      r.di);
}

static void device_moves(void)
{
	uint64_t si = LAPIC + 0x30, di = (uint64_t)buffer, c = 1;

	__asm__ volatile("rep movsl" : "+S"(si), "+D"(di), "+c"(c) : : "memory");
	check(*(uint32_t *)buffer == mmio_read(LAPIC + 0x30) && !c, "rep movsl read %x",
	      *(uint32_t *)buffer);
	si = LAPIC;
	di = LAPIC + 0x80;
	c = 4; /* from device to device: ID to TPR */
	__asm__ volatile("rep movsl" : "+S"(si), "+D"(di), "+c"(c) : : "memory");
	check(!c && si == LAPIC + 16, "rep movsl between devices: %lx left", c);
	di = RAM_END;
	c = 1 << 20;
	__asm__ volatile("rep stosq" : "+D"(di), "+c"(c) : "a"(~0ull) : "memory");
	check(!c && di == RAM_END + (8 << 20), "rep stosq into nothing ended at %lx", di);
}

void guest_main(void)
{
	pic_mask_all();
	check(outcome((struct regs){.in = true, .di = 0x800000000000, .c = 5}) == GP,
	      "INS to a non-canonical address");
	check(outcome((struct regs){.si = 0x7fffffffffff, .c = 5}) == GP,
	      "OUTS across the canonical limit");
	check(outcome((struct regs){.si = ~0ull, .c = ~0ull}) == PF,
	      "OUTS around the end of addresses");
	check(outcome((struct regs){.in = true, .di = 0x4000000000, .c = ~0ull}) == PF,
	      "INS to where nothing is mapped");
	at_the_end();
	wrap_32();
	device_moves();
	done();
}
