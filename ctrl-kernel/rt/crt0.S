/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a program begins: rsp = HV_VA_STACK_TOP, everything else unspecified. The stack protector's canary
 * must be set before the first C function that checks one; its low byte stays 0 so that a string cannot carry
 * it. info.random[0] lies at offset 128 of the information page (rt.c asserts it), HV_VA_INFO = 0x3ff000.
 */
#define INFO_RANDOM (0x003ff000 + 128)

	.section .text._start, "ax"
	.globl _start
	.type _start, @function
_start:
	xorl	%ebp, %ebp
	movq	INFO_RANDOM, %rax
	xorb	%al, %al
	movq	%rax, __stack_chk_guard
	cld
	andq	$-16, %rsp
	call	rt_start
	ud2
	.size _start, . - _start

	.section .note.GNU-stack, "", @progbits
