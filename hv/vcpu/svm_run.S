/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * svm_enter: one stay in guest mode. Not a C function: svm_run (svm_exit.c) calls it from inline assembly, so that the
 * compiler saves registers once. Each line is paid for on every exit.
 *
 *   in and out   rdi  vcpu.gpr, with rip and rflags behind it
 *                rsi  struct svm_vcpu
 *   kept         rsp, rbp; all others are lost
 *
 * VMRUN switches rax, rsp, rip, rflags, control registers and CS SS DS ES; VMLOAD and VMSAVE the rest of the segments and
 * the system-call registers; this code the general registers.
 *
 * Interrupts: hv runs with IF=0. CLGI holds back everything, NMIs too, while FS, GS and TR are the guest's; STI makes
 * physical interrupts leave the guest again (V_INTR_MASKING: the host's IF counts, APM2 15.21.1). After #VMEXIT GIF is
 * 0 until STGI: an interrupt that caused the exit is still pending then, and is taken by irq_take_pending.
 */
#include "hv/cpu/asm.h"
#include "hv/cpu/asm.inc"
#include "hv/vcpu/gpr.inc"
#include "hv/vcpu/svm_vmcb.h"

	.section .text.svm_enter, "ax"
	.globl svm_enter
	.type svm_enter, @function
svm_enter:
	push	%rbp
	push	%rsi
	push	%rdi

	mov	A_VMCB(%rsi), %rdx
	mov	RAX(%rdi), %rax
	mov	RSP(%rdi), %rbx
	mov	V_RIP(%rdi), %rcx
	mov	V_RFLAGS(%rdi), %rbp
	mov	%rax, VMCB_SAVE_RAX(%rdx)
	mov	%rbx, VMCB_SAVE_RSP(%rdx)
	mov	%rcx, VMCB_SAVE_RIP(%rdx)
	mov	%rbp, VMCB_SAVE_RFLAGS(%rdx)

	mov	A_VMCB_PA(%rsi), %rax
	LOAD_GPRS

	clgi
	sti
	vmload	%rax
	SPECULATION_ENTRY
	vmrun	%rax
	vmsave	%rax

	push	%rdi
	mov	8(%rsp), %rdi
	SAVE_GPRS
	pop	RDI(%rdi)

	mov	8(%rsp), %rsi
	mov	A_VMCB(%rsi), %rdx
	mov	VMCB_SAVE_RAX(%rdx), %rax
	mov	VMCB_SAVE_RSP(%rdx), %rbx
	mov	VMCB_SAVE_RIP(%rdx), %rcx
	mov	VMCB_SAVE_RFLAGS(%rdx), %rbp
	mov	%rax, RAX(%rdi)
	mov	%rbx, RSP(%rdi)
	mov	%rcx, V_RIP(%rdi)
	mov	%rbp, V_RFLAGS(%rdi)

	mov	A_HOST_PA(%rsi), %rax
	vmload	%rax
	cli
	stgi
	SPECULATION_EXIT ebx, ecx, r8d, r9d, r10d, r11d, r12d, r13d, r14d, r15d

	add	$16, %rsp
	pop	%rbp
	RETURN
	.size svm_enter, . - svm_enter
	.section .note.GNU-stack, "", @progbits
