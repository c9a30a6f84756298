/* SPDX-License-Identifier: BSD-2-Clause */
/* Code and data for the defences against speculation (speculation.h). */
#include "hv/cpu/asm.h"
#include "hv/cpu/asm.inc"
#include "hv/mm/layout.h"

	.text
/* ---- void speculation_fill_returns(void): all of the return predictor, 32 entries on the largest CPUs -------------- */
FUNC(speculation_fill_returns)
	FILL_RETURNS 32
	ret
END(speculation_fill_returns)

	.globl zen_untrain, zen_alias_untrain
zen_untrain:
zen_alias_untrain:
	ret

	.section .rodata
	/* VERW's operand: any segment that can be written to. */
	.globl speculation_selector
	.balign 2
speculation_selector:
	.short SEL_DATA

	.section .note.GNU-stack, "", @progbits
