/* SPDX-License-Identifier: BSD-2-Clause */
/* The compiled DSDT (dsdt.asl by iasl); the Makefile gives its path as DSDT_AML. */
	.section .rodata.dsdt, "a"
	.balign	4
	.globl	dsdt_aml, dsdt_aml_bytes
dsdt_aml:
	.incbin DSDT_AML
1:
	.balign	4
dsdt_aml_bytes:
	.long	1b - dsdt_aml

	.section .note.GNU-stack, "", @progbits
