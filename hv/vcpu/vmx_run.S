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
#include "hv/vcpu/gpr.inc"
#include "hv/vcpu/vmx_vmcs.h"

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
	LOAD_GPRS
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
	SAVE_GPRS
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
