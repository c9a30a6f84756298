/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmx_enter: one stay in guest mode. Not a C function: vmx_run (vmx_exit.c) calls it from inline assembly, so that the
 * compiler saves registers once. Each line is paid for on every exit.
 *
 *   in and out   rdi  vcpu.gpr
 *                rsi  struct vmx_vcpu, whose VMCS is the current one
 *   kept         rsp, rbp; all others are lost
 *
 * The CPU switches rsp, rip, rflags, control registers, segments and what the controls name; this code the other
 * general registers. Interrupts are off before and after; while the guest runs a physical one leaves it whatever IF is.
 *
 * VMLAUNCH and VMRESUME come back in line only when they were refused; then nothing was loaded (SDM3 31.2).
 */
#include "hv/cpu/asm.h"
#include "hv/cpu/asm.inc"
#include "hv/vcpu/vmx_vmcs.h"

#define RAX 0
#define RCX 8
#define RDX 16
#define RBX 24
#define RBP 40
#define RSI 48
#define RDI 56
#define R(n) (8 * (n))

	.section .text.vmx_enter, "ax"
	.globl vmx_enter, vmx_left
	.type vmx_enter, @function
vmx_enter:
	push	%rbp
	push	%rsi
	push	%rdi
	cmp	%rsp, A_HOST_RSP(%rsi)
	jne	.Lhost_rsp
.Lready:
	cmpb	$1, A_LAUNCHED(%rsi)	/* carry: not yet; nothing below changes that */
	mov	RAX(%rdi), %rax
	mov	RCX(%rdi), %rcx
	mov	RDX(%rdi), %rdx
	mov	RBX(%rdi), %rbx
	mov	RBP(%rdi), %rbp
	mov	RSI(%rdi), %rsi
	mov	R(8)(%rdi), %r8
	mov	R(9)(%rdi), %r9
	mov	R(10)(%rdi), %r10
	mov	R(11)(%rdi), %r11
	mov	R(12)(%rdi), %r12
	mov	R(13)(%rdi), %r13
	mov	R(14)(%rdi), %r14
	mov	R(15)(%rdi), %r15
	mov	RDI(%rdi), %rdi
	SPECULATION_ENTRY
	jc	.Llaunch
	vmresume
	jmp	.Lrefused
.Llaunch:
	vmlaunch
.Lrefused:
	mov	8(%rsp), %rsi
	mov	(%rsp), %rdi
	movb	$1, A_FAILED(%rsi)
	jmp	.Lout

	/* VM exits come here (HOST_RIP), rsp as it was at the entry. */
vmx_left:
	push	%rdi
	mov	8(%rsp), %rdi
	mov	%rax, RAX(%rdi)
	mov	%rcx, RCX(%rdi)
	mov	%rdx, RDX(%rdi)
	mov	%rbx, RBX(%rdi)
	mov	%rbp, RBP(%rdi)
	mov	%rsi, RSI(%rdi)
	mov	%r8, R(8)(%rdi)
	mov	%r9, R(9)(%rdi)
	mov	%r10, R(10)(%rdi)
	mov	%r11, R(11)(%rdi)
	mov	%r12, R(12)(%rdi)
	mov	%r13, R(13)(%rdi)
	mov	%r14, R(14)(%rdi)
	mov	%r15, R(15)(%rdi)
	pop	RDI(%rdi)
	mov	8(%rsp), %rsi
	movb	$1, A_LAUNCHED(%rsi)
	SPECULATION_EXIT eax, ebx, ecx, edx, r8d, r9d, r10d, r11d, r12d, r13d, r14d, r15d
.Lout:
	add	$16, %rsp
	pop	%rbp
	RETURN

.Lhost_rsp:
	mov	$VMCS_HOST_RSP, %eax
	vmwrite	%rsp, %rax
	mov	%rsp, A_HOST_RSP(%rsi)
	jmp	.Lready
	.size vmx_enter, . - vmx_enter
	.section .note.GNU-stack, "", @progbits
