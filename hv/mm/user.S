/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * int user_copy(void *to, const void *from, size_t len): 0, or -HVE_FAULT when either address faults.
 *
 *   rdi  to     rsi  from     rdx  len     rax  result     rcx  counts
 *
 * AC, which lets ring 0 touch user pages under SMAP, is set here and nowhere else. A fault lands behind the copy
 * by way of the fix-up table (fixup.h); what was copied until then stays copied.
 */
#include "hv/cpu/asm.h"
#include "hv/cpu/asm.inc"

#define FAULT 3 /* HVE_FAULT, checked in user.c */

	.text
FUNC(user_copy)
	STAC
	mov %rdx, %rcx
	shr $3, %rcx
.Lwords:
	rep movsq
	mov %edx, %ecx
	and $7, %ecx
.Lbytes:
	rep movsb
	xor %eax, %eax
.Lout:
	CLAC
	RETURN
.Lfault:
	mov $-FAULT, %eax
	jmp .Lout
END(user_copy)
	FIXUP .Lwords, .Lfault
	FIXUP .Lbytes, .Lfault

	.section .note.GNU-stack, "", @progbits
