/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Into hv and out of it: exceptions, interrupts, SYSCALL; user_enter().
 *
 * GS: in hv the GS base is struct cpu, in ring 3 it is the program's (0; CR4.FSGSBASE is off, so a program cannot
 * set it) and KERNEL_GS_BASE holds struct cpu. SWAPGS on every change of ring, and nowhere else.
 *
 * From ring 3 every way in ends in the same place: registers to *cpu->user_frame, back to the stack user_enter() was
 * called on, return from user_enter(). The stack the CPU pushed to (the top 512 bytes of the CPU's stack, or an IST
 * stack) is free again at once.
 *
 * From hv: exceptions go to trap_in_hv(), interrupts (only where hv opens the window) to irq_dispatch(). NMI, #MC and
 * a #DB or #DF in hv can hit between SWAPGS and the change of ring, so they ask the GS base itself and are the only
 * users of their stacks.
 *
 * Frame of struct trap_frame, from low to high: r15 .. rax (15), vector, error code, rip, cs, rflags, rsp, ss.
 */
#include "hv/cpu/asm.h"
#include "hv/cpu/asm.inc"
#include "hv/mm/layout.h"

#define FRAME_CS_EARLY 24 /* of cs while only vector and error code are pushed */
#define MSR_GS_BASE 0xc0000101
#define VECTOR_PF 14

/*
 * user_enter() keeps its two pointers below its stack, behind the frame of IRETQ: nothing else writes there while the
 * program runs, for whatever interrupts it pushes to the top of the stack or to an IST stack.
 */
#define ENTER_ERROR -48
#define ENTER_CR2 -56

	.text

/* ---- 256 stubs of 16 bytes: error code, vector, jump ------------------------------------------------------------ */
.macro STUB target
	.balign 16
	/* APM2 8.4: these push an error code themselves */
	.if n != 8 && (n < 10 || n > 14) && n != 17 && n != 21 && n != 29 && n != 30
	pushq $0
	.endif
	pushq $n
	jmp \target
.endm

	.globl vector_stubs
	.balign 16
vector_stubs:
	.set n, 0
	.rept 256
	.if n == 2 || n == 8 || n == 18
	STUB paranoid_entry
	.elseif n == 1
	STUB debug_entry
	.elseif n < 32
	STUB trap_entry
	.else
	STUB irq_entry
	.endif
	.set n, n + 1
	.endr
	.balign 16

.macro PUSH_ALL
	push %rax
	push %rbx
	push %rcx
	push %rdx
	push %rsi
	push %rdi
	push %rbp
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
.endm

.macro POP_ALL
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rbp
	pop %rdi
	pop %rsi
	pop %rdx
	pop %rcx
	pop %rbx
	pop %rax
.endm

/* ---- interrupts ------------------------------------------------------------------------------------------------- */
FUNC(irq_entry)
	testb $3, FRAME_CS_EARLY(%rsp)
	jnz trap_from_user
	lfence			/* no speculation past the test of the ring (SWAPGS, CVE-2019-1125) */
	push %rax
	push %rcx
	push %rdx
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	mov 72(%rsp), %edi
	call irq_dispatch
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
END(irq_entry)

/* ---- exceptions ------------------------------------------------------------------------------------------------- */
FUNC(trap_entry)
	testb $3, FRAME_CS_EARLY(%rsp)
	jnz trap_from_user
	lfence
	PUSH_ALL
	mov %rsp, %rdi
	call trap_in_hv		/* may move rip to a fix-up */
	POP_ALL
	add $16, %rsp
	iretq
END(trap_entry)

/* A program may single-step itself; in hv a #DB is a bug. */
FUNC(debug_entry)
	testb $3, FRAME_CS_EARLY(%rsp)
	jz paranoid_entry
	/* fall through */
END(debug_entry)

/* Any stack. vector, error code, rip, cs, rflags, rsp, ss are on it. */
trap_from_user:
	swapgs
	lfence
	CLAC
	cld
	push %rdi
	mov %gs:CPU_USER_FRAME, %rdi
	mov %r15, UREGS_R15(%rdi)
	mov %r14, UREGS_R14(%rdi)
	mov %r13, UREGS_R13(%rdi)
	mov %r12, UREGS_R12(%rdi)
	mov %r11, UREGS_R11(%rdi)
	mov %r10, UREGS_R10(%rdi)
	mov %r9, UREGS_R9(%rdi)
	mov %r8, UREGS_R8(%rdi)
	mov %rbp, UREGS_RBP(%rdi)
	mov %rsi, UREGS_RSI(%rdi)
	mov %rdx, UREGS_RDX(%rdi)
	mov %rcx, UREGS_RCX(%rdi)
	mov %rbx, UREGS_RBX(%rdi)
	mov %rax, UREGS_RAX(%rdi)
	popq UREGS_RDI(%rdi)
	pop %rbx		/* vector */
	mov %rbx, UREGS_ENTERED(%rdi)
	pop %rdx		/* error code */
	popq UREGS_RIP(%rdi)
	pop %rcx		/* cs */
	popq UREGS_RFLAGS(%rdi)
	popq UREGS_RSP(%rdi)
	mov %gs:CPU_KERNEL_RSP, %rsp
	mov ENTER_ERROR(%rsp), %rsi
	mov ENTER_CR2(%rsp), %rdi
	mov %rdx, (%rsi)
	cmp $VECTOR_PF, %ebx
	jne 1f
	mov %cr2, %rdx
	mov %rdx, (%rdi)
1:
	jmp user_leave

/* NMI, #MC, #DF, #DB in hv: on stacks of their own, whatever was going on. */
FUNC(paranoid_entry)
	PUSH_ALL
	mov $MSR_GS_BASE, %ecx
	rdmsr
	xor %ebx, %ebx
	test %edx, %edx
	js 1f			/* upper half: hv's already */
	swapgs
	inc %ebx
1:
	lfence
	CLAC
	cld
	SPECULATION_EXIT esi, edi, r8d, r9d, r10d, r11d /* a program may have been on the CPU */
	mov %rsp, %rdi
	call trap_paranoid
	test %ebx, %ebx
	jz 2f
	swapgs
2:
	POP_ALL
	add $16, %rsp
	iretq
END(paranoid_entry)

/* ---- SYSCALL: rcx = rip, r11 = rflags, interrupts off by SFMASK, rsp still the program's -------------------------- */
FUNC(syscall_entry)
	swapgs
	mov %rsp, %gs:CPU_SCRATCH
	mov %gs:CPU_USER_FRAME, %rsp	/* not a stack: nothing is pushed here; NMI and #MC have their own */
	mov %r15, UREGS_R15(%rsp)
	mov %r14, UREGS_R14(%rsp)
	mov %r13, UREGS_R13(%rsp)
	mov %r12, UREGS_R12(%rsp)
	mov %r10, UREGS_R10(%rsp)
	mov %r9, UREGS_R9(%rsp)
	mov %r8, UREGS_R8(%rsp)
	mov %rbp, UREGS_RBP(%rsp)
	mov %rdi, UREGS_RDI(%rsp)
	mov %rsi, UREGS_RSI(%rsp)
	mov %rdx, UREGS_RDX(%rsp)
	mov %rbx, UREGS_RBX(%rsp)
	mov %rax, UREGS_RAX(%rsp)
	mov %rcx, UREGS_RIP(%rsp)
	mov %r11, UREGS_RFLAGS(%rsp)
	mov %gs:CPU_SCRATCH, %rcx
	mov %rcx, UREGS_RSP(%rsp)
	movq $ASM_TRAP_SYSCALL, UREGS_ENTERED(%rsp)
	mov %gs:CPU_KERNEL_RSP, %rsp
	mov $ASM_TRAP_SYSCALL, %ebx
user_leave:		/* ebx = the trap */
	SPECULATION_EXIT ecx, edx, esi, edi, r8d, r9d, r10d, r11d
	mov %ebx, %eax
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	RETURN
END(syscall_entry)

/* ---- unsigned user_enter(struct uregs *r, uint64_t *error, uint64_t *cr2) ----------------------------------------- */
FUNC(user_enter)
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsi, ENTER_ERROR(%rsp)
	mov %rdx, ENTER_CR2(%rsp)
	mov %rdi, %gs:CPU_USER_FRAME
	mov %rsp, %gs:CPU_KERNEL_RSP
	/*
	 * A rip outside the lower half: SYSRET and IRET would fault in ring 0 when it is not canonical (APM3 SYSRET).
	 * The program gets the #GP here that it would get there.
	 */
	mov UREGS_RIP(%rdi), %rcx
	bt $47, %rcx
	jc .Lbad_rip
	mov UREGS_R15(%rdi), %r15
	mov UREGS_R14(%rdi), %r14
	mov UREGS_R13(%rdi), %r13
	mov UREGS_R12(%rdi), %r12
	mov UREGS_R10(%rdi), %r10
	mov UREGS_R9(%rdi), %r9
	mov UREGS_R8(%rdi), %r8
	mov UREGS_RBP(%rdi), %rbp
	mov UREGS_RSI(%rdi), %rsi
	mov UREGS_RDX(%rdi), %rdx
	mov UREGS_RBX(%rdi), %rbx
	mov UREGS_RAX(%rdi), %rax
	mov UREGS_RFLAGS(%rdi), %r11
	cmpl $ASM_TRAP_SYSCALL, UREGS_ENTERED(%rdi)
	jne .Liret
	mov UREGS_RSP(%rdi), %rsp
	mov UREGS_RDI(%rdi), %rdi
	SPECULATION_ENTRY
	swapgs
	sysretq
.Liret:
	pushq $SEL_USER_DATA
	pushq UREGS_RSP(%rdi)
	push %r11
	pushq $SEL_USER_CODE
	push %rcx
	mov UREGS_R11(%rdi), %r11
	mov UREGS_RCX(%rdi), %rcx
	mov UREGS_RDI(%rdi), %rdi
	SPECULATION_ENTRY
	swapgs
	iretq
.Lbad_rip:
	movq $0, (%rsi)
	mov $13, %ebx
	movq $13, UREGS_ENTERED(%rdi)
	jmp user_leave
END(user_enter)

/* ---- void cpu_run_on(uint64_t stack_top, void (*fn)(void)) ---------------------------------------------------------- */
FUNC(cpu_run_on)
	mov %rdi, %rsp
	xor %ebp, %ebp
	call *%rsi		/* does not return */
	ud2
END(cpu_run_on)

/* ---- int msr_read_safe(uint32_t msr, uint64_t *value), int msr_write_safe(uint32_t msr, uint64_t value) -------------- */
#define HVE_INVAL 2

FUNC(msr_read_safe)
	mov %edi, %ecx
1:	rdmsr
	shl $32, %rdx
	or %rdx, %rax
	mov %rax, (%rsi)
	xor %eax, %eax
	RETURN
END(msr_read_safe)

FUNC(msr_write_safe)
	mov %edi, %ecx
	mov %esi, %eax
	mov %rsi, %rdx
	shr $32, %rdx
2:	wrmsr
	xor %eax, %eax
	RETURN
3:	mov $-HVE_INVAL, %eax
	RETURN
	FIXUP 1b, 3b
	FIXUP 2b, 3b
END(msr_write_safe)

	.section .note.GNU-stack, "", @progbits
