/* SPDX-License-Identifier: BSD-2-Clause */
/* The forms of instruction that software uses on device memory are carried out right, at the local APIC's page (xAPIC)
 * and where nobody is. */
#include "guest.h"

enum {
	LAPIC = 0xfee00000u,
	TPR = LAPIC + 0x80,
	TMICT = LAPIC + 0x380,
	ID = LAPIC + 0x20,
	NOBODY = 0xfed70000u
};

static uint32_t buffer[8];

void guest_main(void)
{
	uint64_t r;

	pic_mask_all();
	mmio_write(LAPIC + 0xf0, 0x1ff);
	__asm__ volatile("movl $0x30, (%0)" : : "r"((uint64_t)TPR) : "memory");
	check(mmio_read(TPR) == 0x30, "mov imm: %x", mmio_read(TPR));
	__asm__ volatile("movl $0x0f, %%ecx\n\torl %%ecx, (%0)"
			 :
			 : "r"((uint64_t)TPR)
			 : "rcx", "memory");
	check(mmio_read(TPR) == 0x3f, "or reg, mem: %x", mmio_read(TPR));
	__asm__ volatile("andl $0x1f, (%0)" : : "r"((uint64_t)TPR) : "memory");
	check(mmio_read(TPR) == 0x1f, "and imm, mem: %x", mmio_read(TPR));
	__asm__ volatile("movl $0x21, %%eax\n\txchg %%eax, (%1)\n\tmovl %%eax, %%eax"
			 : "=&a"(r)
			 : "r"((uint64_t)TPR)
			 : "memory");
	check(r == 0x1f && mmio_read(TPR) == 0x21, "xchg: %lx %x", r, mmio_read(TPR));
	__asm__ volatile("movzbl (%1), %k0" : "=r"(r) : "r"((uint64_t)NOBODY));
	check(r == 0xff, "movzx: %lx", r);
	__asm__ volatile("movsbq (%1), %0" : "=r"(r) : "r"((uint64_t)NOBODY));
	check(r == ~0ull, "movsx: %lx", r);
	__asm__ volatile("movq (%1), %0" : "=r"(r) : "r"((uint64_t)NOBODY));
	check(r == ~0ull, "64-bit read: %lx", r);
	r = 0x1122334455667788ull;
	__asm__ volatile("movb (%1), %%ah" : "+a"(r) : "r"((uint64_t)NOBODY));
	check(r == 0x112233445566ff88ull, "high byte: %lx", r);
	__asm__ volatile("movl (%1), %%r12d\n\tmovq %%r12, %0"
			 : "=r"(r)
			 : "r"((uint64_t)TPR)
			 : "r12");
	check(r == 0x21, "r12: %lx", r);
	__asm__ volatile("testl $0x20, (%1)\n\tsetnz %b0" : "=q"(r) : "r"((uint64_t)TPR) : "cc");
	check((r & 0xff) == 1, "test: %lx", r);
	__asm__ volatile("cmpl $0x21, (%1)\n\tsete %b0" : "=q"(r) : "r"((uint64_t)TPR) : "cc");
	check((r & 0xff) == 1, "cmp: %lx", r);
	{
		uint32_t *to = buffer;
		uint64_t from = NOBODY, n = 4;

		__asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
		check(buffer[3] == 0xffffffff && n == 0 && from == NOBODY + 16,
		      "rep movs from a device: %x %lu", buffer[3], n);
	}
	{
		uint64_t to = TMICT, n = 1;

		__asm__ volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(0x12345678) : "memory");
		check(mmio_read(TMICT) == 0x12345678, "rep stos: %x", mmio_read(TMICT));
	}
	done();
}
