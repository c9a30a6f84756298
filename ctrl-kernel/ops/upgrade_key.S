/* SPDX-License-Identifier: BSD-2-Clause */
/* The key whose signature an upgrade needs; the build has it from the key it signs with (tools/mk/upgrade.mk). */
	.section .rodata.upgrade_key, "a"
	.globl upgrade_key
upgrade_key:
	.incbin UPGRADE_KEY

	.section .note.GNU-stack, "", @progbits
