/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ELF kernels with a PVH note (Xen docs/misc/pvh.pandoc; public/arch-x86/hvm/start_info.h; public/elfnote.h): a
 * 32-bit entry point in flat protected mode, ebx = start info. Pure.
 */
#include "ctrl-kernel/vmm/boot.h"
#include "ctrl-kernel/vmm/elf.h"
#include "ctrl-kernel/vmm/layout.h"
#include "ctrl-kernel/vmm/tables.h"

#include <string.h>

#define NOTE_PHYS32_ENTRY 18u
#define NOTES_MAX 256u
#define START_MAGIC 0x336ec578u
#define START_VERSION 1u

struct start_info {
	uint32_t magic, version, flags, n_modules;
	uint64_t modules, cmdline, rsdp, memmap;
	uint32_t n_memmap, reserved;
};
_Static_assert(sizeof(struct start_info) == 56, "start_info.h");

struct start_module {
	uint64_t base, bytes, cmdline, reserved;
};

struct start_memmap {
	uint64_t base, bytes;
	uint32_t type, reserved;
};

struct start_lists {
	struct start_module modules[BOOT_MODULES_MAX];
	struct start_memmap memmap[RAM_RANGES_MAX];
};
_Static_assert(sizeof(struct start_lists) <= GPA_BOOT_STRINGS - GPA_BOOT_LISTS, "one page");

struct note {
	uint32_t name_bytes, desc_bytes, type;
};

static uint64_t round4(uint64_t n)
{
	return (n + 3) & ~3ull;
}

/* Is the note at `at` ours? The caller checked that name and description are within the segment. */
static bool note_entry(const uint8_t *at, const struct note *n, uint32_t *entry)
{
	const uint8_t *name = at + sizeof(*n), *desc = name + round4(n->name_bytes);
	uint64_t wide;

	if (n->type != NOTE_PHYS32_ENTRY || n->name_bytes != 4 || memcmp(name, "Xen", 4) != 0)
		return false;
	if (n->desc_bytes == sizeof(*entry)) {
		memcpy(entry, desc, sizeof(*entry));
		return true;
	}
	if (n->desc_bytes != sizeof(wide))
		return false;
	memcpy(&wide, desc, sizeof(wide));
	if (wide > UINT32_MAX)
		return false;
	*entry = (uint32_t)wide;
	return true;
}

static bool notes_search(const uint8_t *at, uint64_t left, uint32_t *entry)
{
	for (unsigned i = 0; i < NOTES_MAX && left >= sizeof(struct note); i++) {
		struct note n;
		uint64_t size;

		memcpy(&n, at, sizeof(n));
		size = sizeof(n) + round4(n.name_bytes) + n.desc_bytes; /* 32-bit: no overflow */
		if (size > left)
			return false;
		if (note_entry(at, &n, entry))
			return true;
		size = round4(size);
		if (size > left)
			return false;
		at += size;
		left -= size;
	}
	return false;
}

bool pvh_find(const struct elf *elf, uint32_t *entry)
{
	for (unsigned i = 0; i < elf->n; i++) {
		struct elf_segment s;

		if (elf_segment(elf, i, &s) && s.type == ELF_PT_NOTE &&
		    notes_search(elf->image->data + s.offset, s.file_bytes, entry))
			return true;
	}
	return false;
}

static void start_fill(const struct guest *g, const struct boot_input *in,
		       const struct boot_placed *placed)
{
	struct ram_range ranges[RAM_RANGES_MAX];
	struct start_lists lists = {0};
	struct start_info info = {
		.magic = START_MAGIC,
		.version = START_VERSION,
		.n_modules = in->n_modules,
		.modules = GPA_BOOT_LISTS + offsetof(struct start_lists, modules),
		.cmdline = GPA_BOOT_CMDLINE,
		.rsdp = TABLES_RSDP,
		.memmap = GPA_BOOT_LISTS + offsetof(struct start_lists, memmap),
		.n_memmap = guest_map(g, ranges),
	};

	for (unsigned i = 0; i < in->n_modules; i++)
		lists.modules[i] = (struct start_module){placed[i].base, placed[i].bytes,
							 placed[i].string, 0};
	for (unsigned i = 0; i < info.n_memmap; i++)
		lists.memmap[i] = (struct start_memmap){ranges[i].base, ranges[i].bytes,
							ranges[i].type, 0};
	/* boot_load checked that this is RAM */
	(void)!guest_write(g, GPA_BOOT_LISTS, &lists, sizeof(lists));
	(void)!guest_write(g, GPA_BOOT_PARAMS, &info, sizeof(info));
}

bool pvh_load(const struct guest *g, const struct boot_input *in, const struct elf *elf,
	      uint32_t entry, struct boot_output *out, char why[BOOT_WHY_MAX])
{
	struct boot_placed placed[BOOT_MODULES_MAX];
	uint64_t end;

	if (!elf_load(g, elf, &end, why) || !boot_modules(g, in, end, placed, why) ||
	    !boot_cmdline(g, in, BOOT_CMDLINE_MAX, why))
		return false;
	start_fill(g, in, placed);
	out->kind = BOOT_PVH;
	boot_regs_32(g, entry, &out->regs);
	out->regs.gpr[HV_RBX] = GPA_BOOT_PARAMS;
	return true;
}
