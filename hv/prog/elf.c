/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Program images. They are our own, fused into hv's image, and every field is checked all the same: a broken build
 * must be a message and not a program with its stack inside hv. (System V ABI, AMD64 supplement; ELF-64 1.5.)
 */
#include "hv/prog/elf.h"

#include "hv/abi/hv_abi.h"
#include "hv/lib/string.h"
#include "hv/mm/pt.h"

struct elf_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct elf_header) == 64, "ELF-64 1.5 table 1");

struct elf_phdr {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct elf_phdr) == 56, "ELF-64 1.5 table 12");

enum { ET_EXEC = 2, EM_X86_64 = 62, EV_CURRENT = 1 };
enum { PT_LOAD = 1, PT_DYNAMIC = 2, PT_INTERP = 3 };
enum { PF_X = 1, PF_W = 2, PF_R = 4 };
#define PHDRS_MAX 16u

/* Magic, 64 bits, little-endian, version 1, System V. */
static const uint8_t ident_wanted[8] = {0x7f, 'E', 'L', 'F', 2, 1, EV_CURRENT, 0};

static bool header_ok(const struct elf_header *h, uint64_t len)
{
	return memcmp(h->ident, ident_wanted, sizeof(ident_wanted)) == 0 && h->type == ET_EXEC &&
	       h->machine == EM_X86_64 && h->version == EV_CURRENT &&
	       h->ehsize == sizeof(struct elf_header) && h->phentsize == sizeof(struct elf_phdr) &&
	       h->phnum >= 1 && h->phnum <= PHDRS_MAX && h->phoff <= len &&
	       (uint64_t)h->phnum * sizeof(struct elf_phdr) <= len - h->phoff;
}

static bool flags_ok(uint32_t flags)
{
	bool write_exec = (flags & PF_W) && (flags & PF_X);

	return (flags & PF_R) && !(flags & ~(uint32_t)(PF_R | PF_W | PF_X)) && !write_exec;
}

static bool segment_ok(const struct elf_phdr *p, uint64_t len, uva_t lowest)
{
	uint64_t end;

	return flags_ok(p->flags) && p->filesz <= p->memsz && p->memsz != 0 && p->offset <= len &&
	       p->filesz <= len - p->offset && !ADD_OVERFLOW(p->vaddr, p->memsz, &end) &&
	       p->vaddr >= lowest && end <= HV_VA_BRK_END &&
	       p->vaddr % PAGE_SIZE == p->offset % PAGE_SIZE;
}

static unsigned prot_of(uint32_t flags)
{
	return PT_R | (flags & PF_W ? PT_W : 0u) | (flags & PF_X ? PT_X : 0u);
}

static bool entry_ok(const struct elf_image *e)
{
	for (unsigned i = 0; i < e->n; i++) {
		const struct elf_segment *s = &e->segments[i];

		if ((s->prot & PT_X) && e->entry >= s->va && e->entry - s->va < s->file_size)
			return true;
	}
	return false;
}

int elf_read(const uint8_t *file, uint64_t len, struct elf_image *out)
{
	struct elf_image e = {.end = HV_VA_IMAGE};
	struct elf_header h;

	if (len < sizeof(h))
		return -HVE_INVAL;
	memcpy(&h, file, sizeof(h));
	if (!header_ok(&h, len))
		return -HVE_INVAL;
	for (unsigned i = 0; i < h.phnum; i++) {
		struct elf_phdr p;

		memcpy(&p, file + h.phoff + i * sizeof(p), sizeof(p));
		if (p.type == PT_DYNAMIC || p.type == PT_INTERP)
			return -HVE_INVAL;
		if (p.type != PT_LOAD || p.memsz == 0)
			continue;
		if (e.n == ELF_SEGMENTS_MAX || !segment_ok(&p, len, e.end))
			return -HVE_INVAL;
		e.segments[e.n++] = (struct elf_segment){.va = p.vaddr,
							 .mem_size = p.memsz,
							 .file_size = p.filesz,
							 .offset = p.offset,
							 .prot = prot_of(p.flags)};
		e.end = ALIGN_UP(p.vaddr + p.memsz, PAGE_SIZE);
	}
	e.entry = h.entry;
	if (!entry_ok(&e))
		return -HVE_INVAL;
	*out = e;
	return 0;
}
