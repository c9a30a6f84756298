/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For assembly: offsets into C structures (asserted next to them) and how a function looks. Macros of the assembler
 * are in asm.inc.
 */
#ifndef HV_CPU_ASM_H
#define HV_CPU_ASM_H

/* struct cpu */
#define CPU_USER_FRAME 8
#define CPU_KERNEL_RSP 16
#define CPU_SCRATCH 24

/* struct uregs (asserted in boot/main.c) */
#define UREGS_R15 0
#define UREGS_R14 8
#define UREGS_R13 16
#define UREGS_R12 24
#define UREGS_R11 32
#define UREGS_R10 40
#define UREGS_R9 48
#define UREGS_R8 56
#define UREGS_RBP 64
#define UREGS_RDI 72
#define UREGS_RSI 80
#define UREGS_RDX 88
#define UREGS_RCX 96
#define UREGS_RBX 104
#define UREGS_RAX 112
#define UREGS_RIP 120
#define UREGS_RFLAGS 128
#define UREGS_RSP 136
#define UREGS_ENTERED 144
#define UREGS_SIZE 152

#define ASM_TRAP_SYSCALL 0x200

/* What a place in the code belongs to that is switched at boot (.speculation_sites; speculation_cpu.c) */
#define SITE_EXIT 0
#define SITE_EXIT_IBPB 1
#define SITE_UNTRAIN 2
#define SITE_ALIAS 3
#define SITE_RSB 4
#define SITE_VERW 5
#define SITE_CLEAR 6

/* Distance of the retpolines for two registers (thunks.S) */
#define THUNK_SIZE 32

#ifdef __ASSEMBLER__

#define FUNC(name)                                                                                 \
	.globl name;                                                                               \
	.type name, @function;                                                                     \
	.balign 16;                                                                                \
	name:
#define END(name) .size name, .- name

#endif
#endif
