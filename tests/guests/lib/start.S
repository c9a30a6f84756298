/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entry of a test guest: multiboot 1 (and a PVH note with the same entry), 32-bit protected mode, to 64-bit mode with
 * the first 4 GiB mapped one to one, an IDT whose vectors call trap(vector, frame), then guest_main().
 * Further CPUs start at ap_entry (a copy of it is put at 0x8000 by ap_start()) and call ap_main().
 */
	.section .head, "ax"
	.code32
	.align 4
mb_header:
	.long 0x1badb002, 0x00000003, -(0x1badb002 + 0x00000003)
	.align 8
mb2_header:				/* for GRUB, on a bare machine */
	.long 0xe85250d6, 0, mb2_end - mb2_header, -(0xe85250d6 + mb2_end - mb2_header)
	.long 0, 8
mb2_end:

	.globl _start
_start:
	cld
	mov %eax, boot_magic
	mov %ebx, boot_info
	mov $stack_top, %esp
	/* 4 GiB by 2 MiB pages */
	mov $pd, %edi
	mov $0x83, %eax
	xor %ecx, %ecx
1:	mov %eax, (%edi,%ecx,8)
	movl $0, 4(%edi,%ecx,8)
	add $0x200000, %eax
	inc %ecx
	cmp $2048, %ecx
	jne 1b
	mov $pdpt, %edi
	mov $pd + 3, %eax
	xor %ecx, %ecx
2:	mov %eax, (%edi,%ecx,8)
	add $0x1000, %eax
	inc %ecx
	cmp $4, %ecx
	jne 2b
	movl $pdpt + 3, pml4
	call enter_long
	.code64
	mov $stack_top, %rsp
	call idt_init
	call guest_main
	jmp guest_exit

	/* 32-bit code: to long mode; returns in 64-bit code. */
	.code32
enter_long:
	pop %esi
	mov $pml4, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x620, %eax			/* PAE, OSFXSR, OSXMMEXCPT */
	mov %eax, %cr4
	mov $0xc0000080, %ecx
	rdmsr
	or $0x101, %eax			/* LME, SCE */
	wrmsr
	mov %cr0, %eax
	and $~0x4, %eax
	or $0x80000003, %eax
	mov %eax, %cr0
	lgdt gdt_ptr
	ljmp $0x08, $1f
	.code64
1:	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %eax, %fs
	mov %eax, %gs
	mov %esi, %esi
	jmp *%rsi

	/* Copied to 0x8000 for SIPI vector 8. Position: all addresses are given relative to 0x8000. */
	.code16
	.globl ap_entry, ap_entry_end
ap_entry:
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl (0x8000 + ap_gdt_ptr - ap_entry)
	mov %cr0, %eax
	or $1, %eax
	mov %eax, %cr0
	ljmpl $0x18, $ap_entry32
ap_gdt_ptr:
	.word gdt_end - gdt - 1
	.long gdt
ap_entry_end:
	.code32
ap_entry32:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $1, %ebx
	lock xadd %ebx, ap_count
	inc %ebx			/* 1, 2, ... */
	mov %ebx, %edx
	shl $12, %edx
	lea ap_stacks(%edx), %esp	/* the top of AP n's 4 KiB */
	call enter_long
	.code64
	lidt idt_ptr(%rip)
	mov %ebx, %edi
	call ap_main
1:	hlt
	jmp 1b

	/* Vector stubs: 16 bytes each. */
	.code64
	.balign 16
	.globl trap_stubs
trap_stubs:
	.set n, 0
	.rept 256
	.balign 16
	.if (n == 8 || (n >= 10 && n <= 14) || n == 17 || n == 21 || n == 29 || n == 30)
	nop
	nop
	.else
	pushq $0
	.endif
	pushq $n
	jmp trap_common
	.set n, n + 1
	.endr
trap_common:
	push %rax
	push %rcx
	push %rdx
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	mov 72(%rsp), %rdi		/* vector */
	lea 80(%rsp), %rsi		/* error, rip, cs, rflags, rsp, ss */
	cld
	call trap
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq

	.data
	.align 8
gdt:	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
gdt_end:
gdt_ptr: .word gdt_end - gdt - 1
	.long gdt, 0
	.globl boot_magic, boot_info, ap_count
boot_magic: .long 0
boot_info: .long 0
ap_count: .long 0

	.section .note.pvh, "a", @note
	.align 4
	.long 4, 4, 18
	.asciz "Xen"
	.long _start

	.bss
	.align 4096
	.globl pml4
pml4:	.skip 4096
pdpt:	.skip 4096
pd:	.skip 4 * 4096
	.skip 16384
stack_top:
	.globl ap_stacks
ap_stacks: .skip 16 * 4096
	.section .note.GNU-stack, "", @progbits
