/* SPDX-License-Identifier: BSD-2-Clause */
/* The programs fused into hv: ELF64 files, parsed by prog/ when one is started. */
	.section .rodata.images, "a"

.macro IMAGE name, path
	.balign 4096
	.globl \name, \name\()_end
\name:
	.incbin "\path"
\name\()_end:
.endm

	IMAGE image_ctrl, IMAGE_CTRL
	IMAGE image_vmm, IMAGE_VMM
	.balign 4096

	.section .note.GNU-stack, "", @progbits
