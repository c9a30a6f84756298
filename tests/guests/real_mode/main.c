/* SPDX-License-Identifier: BSD-2-Clause */
/* From 64-bit mode to real mode and back: CPUID, IN, OUTS with a segment base, device memory and
 * software interrupts: all without paging, most in 16-bit code. */
#include "guest.h"

enum { AT = 0x7000, TEXT = 0x7800 };

extern uint8_t real_start[], real_end[];

/* Runs at AT. Leaves the CPUID vendor word, the APIC version and the count of INT 0x40 at 0x6000. */
__asm__(".pushsection .text\n"
	".globl real_start, real_end\n"
	"real_start: .code64\n"
	"	push %rbx; push %rbp; mov %rsp, 0x6010\n"
	"	sgdt 0x6020; sidt 0x6030\n"
	"	lgdt 0x7000 + gdtp - real_start\n"
	"	ljmpl *(0x7000 + far32 - real_start)\n"
	"	.code32\n"
	"l32:	mov %cr0, %eax; mov %eax, 0x6008; and $0x7fffffff, %eax; mov %eax, %cr0\n"
	"	mov $0xc0000080, %ecx; rdmsr; mov %eax, 0x6018; and $~0x100, %eax; wrmsr\n"
	"	ljmpl $0x18, $0x7000 + l16 - real_start\n"
	"	.code16\n"
	"l16:	mov $0x20, %ax; mov %ax, %ds; mov %ax, %es; mov %ax, %ss\n"
	"	mov %cr0, %eax; and $~1, %al; mov %eax, %cr0\n"
	"	ljmpw $0x700, $real - real_start\n"
	"real:	xor %ax, %ax; mov %ax, %es; mov %ax, %ss; mov $0x5000, %sp\n"
	"	lidtl %cs:idtp - real_start\n"
	"	movw $isr - real_start, %es:0x40 * 4; movw $0x700, %es:0x40 * 4 + 2\n"
	"	xor %eax, %eax; cpuid; mov %ebx, %es:0x6000\n"
	"	mov $0x780, %ax; mov %ax, %ds; xor %si, %si; mov $14, %cx; mov $0x3f8, %dx; rep "
	"outsb\n"
	"	mov %si, %es:0x600c\n"
	"	int $0x40; int $0x40\n"
	"	xor %ax, %ax; mov %ax, %ds\n"
	"	mov %cr0, %eax; or $1, %al; mov %eax, %cr0\n"
	"	ljmpl $0x28, $0x7000 + p32 - real_start\n"
	"isr:	incw %es:0x6004; iret\n"
	"	.code32\n"
	"p32:	mov $0x10, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss\n"
	"	mov 0xfee00030, %eax; mov %eax, 0x6040\n" /* unpaged protected mode */
	"	mov $0xc0000080, %ecx; rdmsr; or $0x100, %eax; wrmsr\n"
	"	mov 0x6008, %eax; mov %eax, %cr0\n"
	"	ljmpl $0x08, $0x7000 + l64 - real_start\n"
	"	.code64\n"
	"l64:	mov 0x6010, %rsp; lgdt 0x6020; lidt 0x6030; pop %rbp; pop %rbx; ret\n"
	"idtp:	.word 0x3ff; .long 0\n"
	"far32:	.long 0x7000 + l32 - real_start; .word 0x28\n"
	"	.balign 8\n"
	"gdt:	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00009b000000ffff, "
	"0x000093000000ffff, 0x00cf9b000000ffff\n"
	"gdtp:	.word 47; .quad 0x7000 + gdt - real_start\n"
	"real_end:\n"
	".popsection\n");

static void put(uint64_t to, const void *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((volatile uint8_t *)to)[i] = from ? ((const uint8_t *)from)[i] : 0;
}

void guest_main(void)
{
	static const char text[] = "real mode ok\r\n";
	uint32_t r[4];

	pic_mask_all();
	for (unsigned i = 0; i < 3; i++) {
		put(0x6000, NULL, 0x100);
		put(AT, real_start, (size_t)(real_end - real_start));
		put(TEXT, text, sizeof(text));
		((void (*)(void))AT)();
		cpuid(0, 0, r);
		check(*(volatile uint32_t *)0x6000 == r[1], "CPUID in real mode: %x",
		      *(volatile uint32_t *)0x6000);
		check(*(volatile uint16_t *)0x6004 == 2, "INT came %x times",
		      *(volatile uint16_t *)0x6004);
		check(*(volatile uint16_t *)0x600c == 14, "OUTS ended at %x",
		      *(volatile uint16_t *)0x600c);
		check(*(volatile uint32_t *)0x6040 == mmio_read(0xfee00030),
		      "the APIC's version: %x", *(volatile uint32_t *)0x6040);
	}
	done();
}
