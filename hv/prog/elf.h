/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads the headers of a program image: a static ELF64 executable. Pure; compiled on the host for its test. */
#ifndef HV_PROG_ELF_H
#define HV_PROG_ELF_H

#include "hv/lib/types.h"

#define ELF_SEGMENTS_MAX 8u

struct elf_segment {
	uva_t va;
	uint64_t mem_size, file_size, offset;
	unsigned prot; /* enum pt_prot */
};

struct elf_image {
	uva_t entry, end; /* end: first page behind the last segment */
	unsigned n;
	struct elf_segment segments[ELF_SEGMENTS_MAX]; /* ascending, no page in common */
};

/* HVE_INVAL: not an image as linker/prog.ld makes them; *out is untouched then. */
int elf_read(const uint8_t *file, uint64_t len, struct elf_image *out) MUST_CHECK;

#endif
