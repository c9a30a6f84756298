/* SPDX-License-Identifier: BSD-2-Clause */
/* ELF boot images: checks, program headers, loading. Pure. */
#include "ctrl-kernel/vmm/elf.h"

#include <string.h>

#define EM_386 3u
#define EM_X86_64 62u
#define ELFCLASS32 1u
#define ELFCLASS64 2u
#define ELFDATA2LSB 1u

struct ehdr32 {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version, entry, phoff, shoff, flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
struct ehdr64 {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
struct phdr32 {
	uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
};
struct phdr64 {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct ehdr32) == 52 && sizeof(struct phdr32) == 32, "gABI");
_Static_assert(sizeof(struct ehdr64) == 64 && sizeof(struct phdr64) == 56, "gABI");

bool elf_is(const struct boot_image *image)
{
	return image->bytes >= 4 && memcmp(image->data, "\177ELF", 4) == 0;
}

static bool header_read(const struct boot_image *image, struct elf *e, unsigned *machine)
{
	if (e->is64) {
		struct ehdr64 h;

		if (image->bytes < sizeof(h))
			return false;
		memcpy(&h, image->data, sizeof(h));
		*machine = h.machine;
		e->entry = h.entry;
		e->table = h.phoff;
		e->stride = h.phentsize;
		e->n = h.phnum;
	} else {
		struct ehdr32 h;

		if (image->bytes < sizeof(h))
			return false;
		memcpy(&h, image->data, sizeof(h));
		*machine = h.machine;
		e->entry = h.entry;
		e->table = h.phoff;
		e->stride = h.phentsize;
		e->n = h.phnum;
	}
	return true;
}

bool elf_open(const struct boot_image *image, struct elf *elf, char why[BOOT_WHY_MAX])
{
	struct elf e = {.image = image};
	unsigned machine = 0, class = image->bytes > 5 ? image->data[4] : 0;

	e.is64 = class == ELFCLASS64;
	if ((class != ELFCLASS32 && class != ELFCLASS64) || image->data[5] != ELFDATA2LSB)
		return boot_fail(why, "the boot image is an ELF file, but neither 32 nor 64 bits "
				      "little-endian");
	if (!header_read(image, &e, &machine))
		return boot_fail(why, "the boot image is an ELF file cut off in its header");
	if (machine != EM_386 && machine != EM_X86_64)
		return boot_fail(why, "the boot image is an ELF file for machine type %u, not x86",
				 machine);
	if (e.n == 0 || e.n > ELF_SEGMENTS_MAX)
		return boot_fail(why,
				 "the boot image is an ELF file with %u program headers; "
				 "1 to %u are accepted",
				 e.n, ELF_SEGMENTS_MAX);
	if (e.stride < (e.is64 ? sizeof(struct phdr64) : sizeof(struct phdr32)) ||
	    !image_has(image, e.table, e.n * e.stride))
		return boot_fail(why, "the boot image is an ELF file whose program headers lie "
				      "outside of it: is it truncated?");
	*elf = e;
	return true;
}

bool elf_segment(const struct elf *elf, unsigned index, struct elf_segment *out)
{
	const uint8_t *at = elf->image->data + elf->table + index * elf->stride;
	struct elf_segment s;

	if (elf->is64) {
		struct phdr64 p;

		memcpy(&p, at, sizeof(p));
		s = (struct elf_segment){p.type, p.offset, p.filesz, p.paddr, p.memsz};
	} else {
		struct phdr32 p;

		memcpy(&p, at, sizeof(p));
		s = (struct elf_segment){p.type, p.offset, p.filesz, p.paddr, p.memsz};
	}
	if (!image_has(elf->image, s.offset, s.file_bytes))
		return false;
	*out = s;
	return true;
}

static bool segment_load(const struct guest *g, const struct elf *elf, const struct elf_segment *s,
			 char why[BOOT_WHY_MAX])
{
	uint8_t *to;

	if (s->file_bytes > s->mem_bytes)
		return boot_fail(why, "the boot image is an ELF file with a segment larger in the "
				      "file than in memory");
	if (!boot_place(g, s->paddr, s->mem_bytes, "a segment of the boot image", why))
		return false;
	to = guest_at(g, s->paddr, s->mem_bytes);
	if (!to)
		return boot_fail(why, "a segment of the boot image does not fit");
	memcpy(to, elf->image->data + s->offset, s->file_bytes);
	memset(to + s->file_bytes, 0, s->mem_bytes - s->file_bytes);
	return true;
}

bool elf_load(const struct guest *g, const struct elf *elf, uint64_t *end, char why[BOOT_WHY_MAX])
{
	uint64_t top = 0;

	for (unsigned i = 0; i < elf->n; i++) {
		struct elf_segment s;

		if (!elf_segment(elf, i, &s))
			return boot_fail(why,
					 "segment %u of the boot image lies outside of the "
					 "file: is it truncated?",
					 i);
		if (s.type != ELF_PT_LOAD || s.mem_bytes == 0)
			continue;
		if (!segment_load(g, elf, &s, why))
			return false;
		if (s.paddr + s.mem_bytes > top)
			top = s.paddr + s.mem_bytes;
	}
	if (top == 0)
		return boot_fail(why, "the boot image is an ELF file with nothing to load");
	*end = top;
	return true;
}
