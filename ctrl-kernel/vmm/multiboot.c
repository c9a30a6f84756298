/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot1 kernels (Multiboot Specification 0.6.96), as ELF files or flat images with address fields: 32-bit flat
 * protected mode, eax = magic, ebx = information structure. Pure.
 */
#include "ctrl-kernel/vmm/boot.h"
#include "ctrl-kernel/vmm/elf.h"
#include "ctrl-kernel/vmm/layout.h"

#include <string.h>

#define HEADER_MAGIC 0x1badb002u
#define HEADER_SEARCH 8192u     /* 3.1.1: wholly in the first 8 KiB, 4-aligned */
#define HEADER_REQUIRED 0xfff8u /* of bits 0-15, those nobody defined; 2 (video) is only a wish */
#define HEADER_ADDRESSES 0x10000u
#define BOOT_MAGIC 0x2badb002u

#define INFO_MEMORY 0x1u
#define INFO_CMDLINE 0x4u
#define INFO_MODULES 0x8u
#define INFO_MEMMAP 0x40u
#define INFO_LOADER 0x200u

struct header { /* 3.1.1 */
	uint32_t magic, flags, checksum;
	uint32_t header_addr, load_addr, load_end, bss_end, entry;
};
#define HEADER_BASIC 12u /* without address fields */

struct info { /* 3.3 */
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, n_modules, modules, syms[4];
	uint32_t memmap_bytes, memmap, drives_length, drives, config_table, loader_name;
	uint32_t apm_table, unused[7];
};
_Static_assert(offsetof(struct info, loader_name) == 64, "Multiboot 3.3");

struct module {
	uint32_t start, end, string, reserved;
};

struct mmap_entry {
	uint32_t size; /* of the rest */
	uint64_t base, bytes;
	uint32_t type;
} __attribute__((packed));

struct lists {
	struct module modules[BOOT_MODULES_MAX];
	struct mmap_entry memmap[RAM_RANGES_MAX];
	char loader[8];
};
_Static_assert(sizeof(struct lists) <= GPA_BOOT_STRINGS - GPA_BOOT_LISTS, "one page");

bool multiboot_find(const struct boot_image *image, uint32_t *offset)
{
	uint64_t end = image->bytes < HEADER_SEARCH ? image->bytes : HEADER_SEARCH;

	for (uint32_t at = 0; at + HEADER_BASIC <= end; at += 4) {
		uint32_t h[3];

		memcpy(h, image->data + at, sizeof(h));
		if (h[0] != HEADER_MAGIC || h[0] + h[1] + h[2] != 0)
			continue;
		*offset = at;
		return true;
	}
	return false;
}

/* A flat image: the address fields say which part of the file goes where. */
static bool flat_load(const struct guest *g, const struct boot_image *image, const struct header *h,
		      uint32_t offset, uint64_t *end, char why[BOOT_WHY_MAX])
{
	uint64_t before, from, file_bytes, mem_bytes;
	uint8_t *to;

	before = h->header_addr - (uint64_t)h->load_addr;
	if (h->header_addr < h->load_addr || before > offset)
		return boot_fail(why,
				 "the multiboot1 header's load address 0x%x does not fit its "
				 "header address 0x%x",
				 h->load_addr, h->header_addr);
	from = offset - before;
	file_bytes = image->bytes - from;
	if (h->load_end) {
		if (h->load_end < h->load_addr || h->load_end - h->load_addr > file_bytes)
			return boot_fail(why,
					 "the multiboot1 header's load end 0x%x lies outside "
					 "of the file: is it truncated?",
					 h->load_end);
		file_bytes = h->load_end - h->load_addr;
	}
	mem_bytes = file_bytes;
	if (h->bss_end) {
		if (h->bss_end < h->load_addr + file_bytes)
			return boot_fail(why,
					 "the multiboot1 header's bss end 0x%x lies before "
					 "its load end",
					 h->bss_end);
		mem_bytes = h->bss_end - h->load_addr;
	}
	if (!boot_place(g, h->load_addr, mem_bytes, "the multiboot1 kernel", why))
		return false;
	to = guest_at(g, h->load_addr, mem_bytes);
	if (!to)
		return boot_fail(why, "the multiboot1 kernel does not fit");
	memcpy(to, image->data + from, file_bytes);
	memset(to + file_bytes, 0, mem_bytes - file_bytes);
	*end = h->load_addr + mem_bytes;
	return true;
}

static void info_fill(const struct guest *g, const struct boot_input *in,
		      const struct boot_placed *placed)
{
	struct ram_range ranges[RAM_RANGES_MAX];
	unsigned n = guest_map(g, ranges);
	struct lists l = {.loader = "Socle"};
	struct info info = {
		.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MEMMAP | INFO_LOADER,
		.mem_lower = (uint32_t)(GPA_LOW_END >> 10),
		.mem_upper = (uint32_t)((guest_low_end(g) - GPA_MAIN) >> 10),
		.cmdline = (uint32_t)GPA_BOOT_CMDLINE,
		.n_modules = in->n_modules,
		.modules = (uint32_t)(GPA_BOOT_LISTS + offsetof(struct lists, modules)),
		.memmap = (uint32_t)(GPA_BOOT_LISTS + offsetof(struct lists, memmap)),
		.memmap_bytes = n * (uint32_t)sizeof(struct mmap_entry),
		.loader_name = (uint32_t)(GPA_BOOT_LISTS + offsetof(struct lists, loader)),
	};

	for (unsigned i = 0; i < in->n_modules; i++)
		l.modules[i] = (struct module){(uint32_t)placed[i].base,
					       (uint32_t)(placed[i].base + placed[i].bytes),
					       (uint32_t)placed[i].string, 0};
	for (unsigned i = 0; i < n; i++)
		l.memmap[i] = (struct mmap_entry){sizeof(l.memmap[i]) - sizeof(l.memmap[i].size),
						  ranges[i].base, ranges[i].bytes, ranges[i].type};
	/* boot_load checked that this is RAM */
	(void)!guest_write(g, GPA_BOOT_LISTS, &l, sizeof(l));
	(void)!guest_write(g, GPA_BOOT_PARAMS, &info, sizeof(info));
}

bool multiboot_load(const struct guest *g, const struct boot_input *in, const struct elf *elf,
		    uint32_t header, struct boot_output *out, char why[BOOT_WHY_MAX])
{
	const struct boot_image *image = &in->kernel;
	struct boot_placed placed[BOOT_MODULES_MAX];
	struct header h = {0};
	uint64_t end, entry;
	bool flat;

	memcpy(&h, image->data + header, HEADER_BASIC);
	if (h.flags & HEADER_REQUIRED)
		return boot_fail(why,
				 "the multiboot1 header demands features (flags 0x%x) that no "
				 "loader knows",
				 h.flags);
	flat = h.flags & HEADER_ADDRESSES;
	if (flat && !image_has(image, header, sizeof(h)))
		return boot_fail(why, "the multiboot1 header is cut off: is the file truncated?");
	if (flat)
		memcpy(&h, image->data + header, sizeof(h));
	if (!flat && !elf)
		return boot_fail(why, "the boot image has a multiboot1 header without address "
				      "fields and is no ELF file");
	if (!(flat ? flat_load(g, image, &h, header, &end, why) : elf_load(g, elf, &end, why)))
		return false;
	entry = flat ? h.entry : elf->entry;
	if (!boot_modules(g, in, end, placed, why) || !boot_cmdline(g, in, BOOT_CMDLINE_MAX, why))
		return false;
	info_fill(g, in, placed);
	out->kind = BOOT_MULTIBOOT;
	boot_regs_32(g, entry & UINT32_MAX, &out->regs);
	out->regs.gpr[HV_RAX] = BOOT_MAGIC;
	out->regs.gpr[HV_RBX] = GPA_BOOT_PARAMS;
	return true;
}
