/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first instructions: multiboot headers, the way from 32-bit protected mode into 64-bit C (hv_main), and the
 * trampoline by which the other CPUs come from real mode (smp.c copies it below 1 MiB).
 *
 * Boot tables, as mm/init.h wants them: 0 .. 4 GiB in 2 MiB pages, at 0 and at HV_DIRECT; the first GiB at
 * HV_IMAGE_BASE. They are read-write-execute, which is why nothing stays on them after mm_init_tables().
 */
#include "hv/boot/start.h"
#include "hv/cpu/asm.h"
#include "hv/mm/layout.h"

#define PHYS(symbol) ((symbol) - HV_IMAGE_BASE_ASM)
#define HV_IMAGE_BASE_ASM 0xffffffff80000000

/* Register bits as in cpu/x86.h, which is C. */
#define CR0_BOOT 0x80010033 /* PG WP NE ET MP PE */
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100

#define PTE_TABLE 0x3	/* present, writable */
#define PTE_LARGE 0x83	/* present, writable, 2 MiB */
#define PTE_SIZE 8
#define BOOT_GIGABYTES 4
#define LARGE_PAGE 0x200000

#define COM1 0x3f8
#define LSR_SENDABLE 0x20

/* ---- multiboot headers ------------------------------------------------------------------------------------------- */
#define MB1_HEADER_MAGIC 0x1badb002
#define MB1_FLAGS 0x3 /* modules page aligned, memory information */
#define MB2_HEADER_MAGIC 0xe85250d6
#define MB2_ARCH_I386 0
#define MB2_TAG_MODULE_ALIGN 6
#define MB2_TAG_END 0

	.section .multiboot, "a"
	.balign 8
mb2_header:
	.long MB2_HEADER_MAGIC, MB2_ARCH_I386, mb2_header_end - mb2_header
	.long -(MB2_HEADER_MAGIC + MB2_ARCH_I386 + (mb2_header_end - mb2_header))
	.short MB2_TAG_MODULE_ALIGN, 0
	.long 8
	.short MB2_TAG_END, 0
	.long 8
mb2_header_end:
	.balign 4
	.long MB1_HEADER_MAGIC, MB1_FLAGS, -(MB1_HEADER_MAGIC + MB1_FLAGS)

/* ---- the boot CPU: eax = multiboot magic, ebx = physical address of the information ------------------------------- */
	.section .boot, "ax"
	.code32
FUNC(boot_entry)
	cli
	cld
	mov %eax, %edi
	mov %ebx, %esi
	mov $PHYS(boot_stack_top), %esp
	/* No CPUID leaf 0x80000001 bit 29, no 64-bit mode (APM3 E.4.2). */
	mov $0x80000000, %eax
	cpuid
	cmp $0x80000001, %eax
	jb no_long_mode
	mov $0x80000001, %eax
	cpuid
	bt $29, %edx
	jnc no_long_mode

	/* esi survives; ebx counts. PD entries for 4 GiB. */
	mov $PHYS(boot_pd), %eax
	mov $PTE_LARGE, %ecx
1:	mov %ecx, (%eax)
	add $PTE_SIZE, %eax
	add $LARGE_PAGE, %ecx
	jnc 1b
	mov $PHYS(boot_pdpt_low), %eax
	mov $PHYS(boot_pd) + PTE_TABLE, %ecx
	mov $BOOT_GIGABYTES, %ebx
2:	mov %ecx, (%eax)
	add $PTE_SIZE, %eax
	add $0x1000, %ecx
	dec %ebx
	jnz 2b
	movl $PHYS(boot_pd) + PTE_TABLE, PHYS(boot_pdpt_high) + 510 * PTE_SIZE
	movl $PHYS(boot_pdpt_low) + PTE_TABLE, PHYS(boot_pml4)
	movl $PHYS(boot_pdpt_low) + PTE_TABLE, PHYS(boot_pml4) + 256 * PTE_SIZE
	movl $PHYS(boot_pdpt_high) + PTE_TABLE, PHYS(boot_pml4) + 511 * PTE_SIZE

	mov $PHYS(boot_pml4), %eax
	mov %eax, %cr3
	mov $CR4_PAE, %eax
	mov %eax, %cr4
	mov $MSR_EFER, %ecx
	mov $EFER_LME, %eax
	xor %edx, %edx
	wrmsr
	mov $CR0_BOOT, %eax
	mov %eax, %cr0
	lgdt boot_gdtr
	ljmp $SEL_CODE, $boot_entry64

no_long_mode:
	mov $no_long_mode_text, %esi
3:	mov $COM1 + 5, %edx
	mov $0xffff, %ecx	/* no port there: do not wait for ever */
4:	in %dx, %al
	test $LSR_SENDABLE, %al
	loopz 4b
	lodsb
	test %al, %al
	jz 5f
	mov $COM1, %edx
	out %al, %dx
	jmp 3b
5:	hlt
	jmp 5b
END(boot_entry)

	.code64
boot_entry64:
	mov $SEL_DATA, %eax
	mov %eax, %ss
	mov %eax, %ds
	mov %eax, %es
	mov $boot_stack_top, %rsp
	xor %ebp, %ebp
	mov %edi, %edi
	mov %esi, %esi
	mov $hv_main, %rax
	call *%rax
	ud2

no_long_mode_text:
	.asciz "Socle needs a 64-bit CPU (long mode); this one has none. The machine is halted.\r\n"

	.balign 8
boot_gdt:
	.quad 0
	.quad 0x00209b0000000000	/* SEL_CODE: 64-bit */
	.quad 0x0000930000000000	/* SEL_DATA */
boot_gdtr:
	.short boot_gdtr - boot_gdt - 1
	.long boot_gdt

/* ---- another CPU: real mode, cs = page >> 4, ip = 0; the addresses in it are filled in by smp.c --------------------- */
	.balign 16
	.globl trampoline_start
trampoline_start:
	.code16
	cli
	cld
	mov %cs, %ax
	mov %ax, %ds
	mov trampoline_cr3 - trampoline_start, %eax
	mov %eax, %cr3
	mov $CR4_PAE, %eax
	mov %eax, %cr4
	mov $MSR_EFER, %ecx
	mov trampoline_efer - trampoline_start, %eax
	xor %edx, %edx
	wrmsr
	lgdtl trampoline_gdtr - trampoline_start
	mov $CR0_BOOT, %eax
	mov %eax, %cr0		/* caches on (INIT leaves CD and NW set), paging and protection in one step */
	ljmpl *(trampoline_target - trampoline_start)
	.code64
	.globl trampoline_code64
trampoline_code64:
	mov $ap_entry64, %rax
	jmp *%rax

	.balign 8
	.globl trampoline_data
trampoline_data:	/* struct trampoline_data, smp.c */
trampoline_gdt:
	.quad 0
	.quad 0x00209b0000000000
	.quad 0x0000930000000000
trampoline_gdtr:
	.short trampoline_gdtr - trampoline_gdt - 1
	.long 0			/* physical address of trampoline_gdt */
trampoline_target:
	.long 0			/* of trampoline_code64 */
	.short SEL_CODE
trampoline_cr3:
	.long 0
trampoline_efer:
	.long 0
	.globl trampoline_end
trampoline_end:

	.text
/* On the boot tables, no stack yet. Leaves them for hv's own, takes what smp.c laid out, or halts for good. */
FUNC(ap_entry64)
	mov $SEL_DATA, %eax
	mov %eax, %ss
	mov %eax, %ds
	mov %eax, %es
	mov ap_cr3, %rax
	mov %rax, %cr3
	xor %edi, %edi
	xchg %rdi, ap_cpu	/* one taker: a CPU that comes too late finds 0 */
	test %rdi, %rdi
	jz ap_park
	mov ap_stack, %rsp
	xor %ebp, %ebp
	call ap_main
END(ap_entry64)
FUNC(ap_park)
	cli
	hlt
	jmp ap_park
END(ap_park)

	.section .bss.page_aligned, "aw", @nobits
	.balign 4096
	.globl boot_pml4
boot_pml4:
	.skip 4096
boot_pdpt_low:
	.skip 4096
boot_pdpt_high:
	.skip 4096
boot_pd:
	.skip BOOT_GIGABYTES * 4096
	.globl boot_tables_end
boot_tables_end:
boot_stack:
	.skip BOOT_STACK
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
