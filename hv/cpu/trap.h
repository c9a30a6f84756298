/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions in hv: what entry.S hands to C. Inside cpu/ and boot/. */
#ifndef HV_CPU_TRAP_H
#define HV_CPU_TRAP_H

#include "hv/lib/types.h"

enum exception_vector {
	VECTOR_DE = 0,
	VECTOR_DB = 1,
	VECTOR_NMI = 2,
	VECTOR_BP = 3,
	VECTOR_UD = 6,
	VECTOR_NM = 7,
	VECTOR_DF = 8,
	VECTOR_GP = 13,
	VECTOR_PF = 14,
	VECTOR_MC = 18,
};

struct trap_frame { /* pushed by entry.S, then by the CPU */
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

void trap_in_hv(struct trap_frame *f);    /* an exception with no stack of its own */
void trap_paranoid(struct trap_frame *f); /* NMI, #MC, #DF, #DB: anywhere, even half-way into hv */

#endif
