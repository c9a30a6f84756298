/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code and data for the defences against speculation (speculation.h). The compiler makes every indirect branch of hv a
 * branch to __x86_indirect_thunk_REGISTER and every return a jump to __x86_return_thunk; the names are its own. As it
 * is linked all of that works on any CPU. At boot speculation_cpu.c turns the places that use a thunk nobody needs
 * into plain instructions, and points __x86_return_thunk to the return this CPU needs.
 */
#include "hv/cpu/asm.h"
#include "hv/cpu/asm.inc"
#include "hv/mm/layout.h"

	.text

/*
 * Retpolines: RET jumps to the register's value, but what it is predicted to do is to return behind the CALL, where
 * speculation is caught (Intel, "Retpoline: A Branch Target Injection Mitigation"). In the order of the registers'
 * numbers, THUNK_SIZE apart.
 */
	.balign 64
	.globl speculation_thunks
speculation_thunks:
.macro RETPOLINE register
	.balign THUNK_SIZE
	.globl __x86_indirect_thunk_\register
__x86_indirect_thunk_\register:
	call	2f
1:	pause
	lfence
	jmp	1b
2:	mov	%\register, (%rsp)
	RETURN
.endm
	.irp register, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	RETPOLINE \register
	.endr

/*
 * The plain return, also where it must lie in the upper half of a cache line (Intel, "Indirect Target Selection").
 * Its first bytes become a jump to another return.
 */
	.balign 64
	.skip	32, 0xcc
	.globl __x86_return_thunk
__x86_return_thunk:
	ret
	.skip	7, 0xcc

/* ---- void speculation_fill_returns(void): all of the return predictor, 32 entries on the largest CPUs -------------- */
FUNC(speculation_fill_returns)
	FILL_RETURNS 32
	RETURN
END(speculation_fill_returns)

/*
 * Zen 1 and 2 (AMD, "Technical Guidance for Mitigating Branch Type Confusion", "Technical Update Regarding Speculative
 * Return Stack Overflow"). A return is made by one RET only, in zen_safe_return, and that one can be predicted in no
 * harmful way: zen_return_thunk has called, so that the return predictor says: back to the UD2; the LEA drops that.
 *
 * What is left is that the branch predictor has learned, from a guest, something else for the bytes of zen_safe_return.
 * Executing them as what is no branch at all, the constant of a MOVABS, makes it forget: zen_untrain, after each
 * exit. Both must begin as they lie here: the RET's line begins with zen_safe_return.
 */
	.balign 64
	.skip	62, 0xcc
	.globl zen_untrain
zen_untrain:
	.byte	0x48, 0xb8	/* movabs $zen_safe_return .. int3, %rax */
zen_safe_return:
	lea	8(%rsp), %rsp
	ret
	int3
	int3
	lfence			/* the MOVABS is done with */
	call	zen_safe_return	/* returns for zen_untrain */
	ud2
zen_return_thunk:
	call	zen_safe_return
	ud2
	.if zen_safe_return - zen_untrain != 2
	.error "zen_safe_return must be the constant of the MOVABS"
	.endif

	.globl zen_return_thunk

/*
 * Zen 3 and 4: the same, but what makes the predictor forget is to execute something without a branch at an address
 * that looks the same to it: bits 2, 8, 14 and 20 all inverted. Both pieces lie in this page, which is mapped a second
 * and third time, at zen_alias_untrain and around zen_alias_safe_return (hv.ld), and run only there.
 */
	.balign 4096
	.globl zen_alias_page
zen_alias_page:			/* runs at zen_alias_untrain */
	.byte	0x66, 0x90
	lfence
	jmp	zen_alias_jump	/* zen_alias_return_thunk, as seen from there */
	int3
	.org	zen_alias_page + 0x104, 0xcc
	lea	8(%rsp), %rsp	/* runs at zen_alias_safe_return */
	ret
	int3
	.balign 64, 0xcc
	.globl zen_alias_return_thunk
zen_alias_return_thunk:
	call	zen_alias_safe_return
	ud2

	.section .rodata
	/* VERW's operand: any segment that can be written to. */
	.globl speculation_selector
	.balign 2
speculation_selector:
	.short SEL_DATA

	.section .note.GNU-stack, "", @progbits
