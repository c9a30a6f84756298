/* SPDX-License-Identifier: BSD-2-Clause */
/* ELF boot images, 32 and 64 bits (System V gABI, chapters 4 and 5): header and program headers only. Pure. */
#ifndef VMM_ELF_H
#define VMM_ELF_H

#include "ctrl-kernel/vmm/boot.h"

#define ELF_SEGMENTS_MAX 64u

enum elf_type { ELF_PT_LOAD = 1, ELF_PT_NOTE = 4 };

struct elf_segment {
	uint32_t type;
	uint64_t offset, file_bytes; /* within the image: checked */
	uint64_t paddr, mem_bytes;
};

struct elf {
	const struct boot_image *image; /* [borrows] */
	bool is64;
	uint64_t entry;
	uint64_t table, stride; /* program headers, all within the image */
	unsigned n;
};

bool elf_is(const struct boot_image *image);
MUST_CHECK bool elf_open(const struct boot_image *image, struct elf *elf, char why[BOOT_WHY_MAX]);
/* False: its bytes are not all within the image. */
MUST_CHECK bool elf_segment(const struct elf *elf, unsigned index, struct elf_segment *out);
/* All loadable segments to their physical addresses -> the highest address used. */
MUST_CHECK bool elf_load(const struct guest *g, const struct elf *elf, uint64_t *end,
			 char why[BOOT_WHY_MAX]);

/* [offset, offset + len) within the image? */
static inline bool image_has(const struct boot_image *image, uint64_t offset, uint64_t len)
{
	return offset <= image->bytes && len <= image->bytes - offset;
}

#endif
