/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linux bzImage by the 64-bit boot protocol (Linux Documentation/arch/x86/boot.rst, "64-bit boot protocol"): the
 * protected-mode part goes to its preferred address, the zero page tells it of memory, command line, initrd and
 * RSDP, and it is entered 0x200 behind its start in 64-bit mode with rsi = zero page. Pure.
 */
#include "ctrl-kernel/vmm/boot.h"
#include "ctrl-kernel/vmm/elf.h"
#include "ctrl-kernel/vmm/layout.h"
#include "ctrl-kernel/vmm/tables.h"

#include <string.h>

#define PAGE 4096ull
#define SECTOR 512u
#define HDRS 0x53726448u /* "HdrS" */
#define PROTOCOL_MIN 0x020cu
#define XLF_KERNEL_64 0x1u
#define LOADER_UNDEFINED 0xffu
#define VIDEO_NORMAL 0xffffu
#define ENTRY_64 0x200u
#define SETUP_SECTORS_DEFAULT 4u
#define ALIGN_MAX 0x40000000u

enum zero_page { /* Documentation/arch/x86/zero-page.rst */
		 ZP_RSDP = 0x070,
		 ZP_E820_ENTRIES = 0x1e8,
		 ZP_HEADER = 0x1f1,
		 ZP_HEADER_END_MAX = 0x290,
		 ZP_E820 = 0x2d0,
};

/* The setup header from 0x1f1 on, protocol 2.12. */
struct setup_header {
	uint8_t setup_sects;
	uint16_t root_flags;
	uint32_t syssize; /* of the protected-mode part, in 16 bytes */
	uint16_t ram_size, vid_mode, root_dev, boot_flag, jump;
	uint32_t magic;
	uint16_t version;
	uint32_t realmode_swtch;
	uint16_t start_sys_seg, kernel_version;
	uint8_t type_of_loader, loadflags;
	uint16_t setup_move_size;
	uint32_t code32_start, ramdisk_image, ramdisk_size, bootsect_kludge;
	uint16_t heap_end_ptr;
	uint8_t ext_loader_ver, ext_loader_type;
	uint32_t cmd_line_ptr, initrd_addr_max, kernel_alignment;
	uint8_t relocatable, min_alignment;
	uint16_t xloadflags;
	uint32_t cmdline_size, hardware_subarch;
	uint64_t hardware_subarch_data;
	uint32_t payload_offset, payload_length;
	uint64_t setup_data, pref_address;
	uint32_t init_size;
} __attribute__((packed));
_Static_assert(offsetof(struct setup_header, magic) == 0x202 - 0x1f1, "boot.rst");
_Static_assert(offsetof(struct setup_header, cmd_line_ptr) == 0x228 - 0x1f1, "boot.rst");
_Static_assert(sizeof(struct setup_header) == 0x264 - 0x1f1, "boot.rst");

struct e820_entry {
	uint64_t base, bytes;
	uint32_t type;
} __attribute__((packed));

struct kernel {
	struct setup_header h;
	uint64_t offset, bytes;   /* of the protected-mode part in the image */
	uint64_t base, mem_bytes; /* where it runs */
};

bool linux_is(const struct boot_image *image)
{
	uint32_t magic;

	if (!image_has(image, ZP_HEADER, sizeof(struct setup_header)))
		return false;
	memcpy(&magic, image->data + 0x202, sizeof(magic));
	return magic == HDRS;
}

static bool header_check(const struct boot_image *image, struct kernel *k, char why[BOOT_WHY_MAX])
{
	unsigned sectors;

	memcpy(&k->h, image->data + ZP_HEADER, sizeof(k->h));
	if (k->h.version < PROTOCOL_MIN)
		return boot_fail(why,
				 "the boot image is a Linux bzImage of boot protocol %u.%02u; "
				 "2.12 (Linux 3.8) or later is needed",
				 k->h.version >> 8, k->h.version & 0xff);
	if (!(k->h.xloadflags & XLF_KERNEL_64))
		return boot_fail(why, "the boot image is a Linux bzImage without a 64-bit entry "
				      "point; a kernel built for x86-64 is needed");
	sectors = k->h.setup_sects ? k->h.setup_sects : SETUP_SECTORS_DEFAULT;
	k->offset = (sectors + 1) * SECTOR;
	k->bytes = (uint64_t)k->h.syssize * 16;
	if (k->bytes <= ENTRY_64 || !image_has(image, k->offset, k->bytes))
		return boot_fail(why,
				 "the boot image is a Linux bzImage, but truncated: its header "
				 "speaks of %llu bytes and it has %llu",
				 (unsigned long long)(k->offset + k->bytes),
				 (unsigned long long)image->bytes);
	k->mem_bytes = k->h.init_size > k->bytes ? k->h.init_size : k->bytes;
	return true;
}

/* Where it prefers to be; a relocatable one takes the lowest aligned place when memory is small. */
static bool kernel_place(const struct guest *g, struct kernel *k, char why[BOOT_WHY_MAX])
{
	uint64_t align = k->h.kernel_alignment;

	k->base = k->h.pref_address;
	if (boot_place(g, k->base, k->mem_bytes, "the Linux kernel", why))
		return true;
	if (!k->h.relocatable || align == 0 || (align & (align - 1)) || align > ALIGN_MAX)
		return false;
	k->base = (GPA_MAIN + align - 1) & ~(align - 1);
	return boot_place(g, k->base, k->mem_bytes, "the Linux kernel", why);
}

/* As high as the kernel allows, so that it stays clear of what the kernel unpacks. */
static bool initrd_load(const struct guest *g, const struct boot_input *in, struct kernel *k,
			char why[BOOT_WHY_MAX])
{
	const struct boot_image *initrd = in->modules;
	uint64_t top = guest_low_end(g), base, floor = k->base + k->mem_bytes;

	if (in->n_modules == 0 || initrd->bytes == 0)
		return true;
	if (in->n_modules > 1)
		return boot_fail(why, "a Linux bzImage takes one module, the initrd; %u are given",
				 in->n_modules);
	if (top > (uint64_t)k->h.initrd_addr_max + 1)
		top = (uint64_t)k->h.initrd_addr_max + 1;
	base = (top - initrd->bytes) & ~(PAGE - 1);
	if (top < floor || initrd->bytes > top - floor || base < floor)
		return boot_fail(why,
				 "no room for the initrd of %llu KiB between the kernel, which "
				 "ends at %llu MiB, and %llu MiB; give the VM more memory",
				 (unsigned long long)(initrd->bytes >> 10),
				 (unsigned long long)(floor >> 20),
				 (unsigned long long)(top >> 20));
	k->h.ramdisk_image = (uint32_t)base;
	k->h.ramdisk_size = (uint32_t)initrd->bytes;
	return guest_write(g, base, initrd->data, initrd->bytes);
}

static void e820_fill(const struct guest *g, uint8_t *page)
{
	struct ram_range ranges[RAM_RANGES_MAX];
	unsigned n = guest_map(g, ranges);

	page[ZP_E820_ENTRIES] = (uint8_t)n;
	for (unsigned i = 0; i < n; i++) {
		struct e820_entry e = {ranges[i].base, ranges[i].bytes, ranges[i].type};

		memcpy(page + ZP_E820 + i * sizeof(e), &e, sizeof(e));
	}
}

/* The header as the image has it (it may be longer than what we know), then the loader's fields. */
static void zero_page_fill(const struct guest *g, const struct boot_image *image, struct kernel *k)
{
	uint8_t *page = guest_at(g, GPA_BOOT_PARAMS, PAGE);
	uint64_t rsdp = TABLES_RSDP, end = 0x202u + image->data[0x201];

	if (end > ZP_HEADER_END_MAX)
		end = ZP_HEADER_END_MAX;
	if (end > image->bytes)
		end = image->bytes;
	memset(page, 0, PAGE);
	if (end > ZP_HEADER)
		memcpy(page + ZP_HEADER, image->data + ZP_HEADER, end - ZP_HEADER);
	k->h.type_of_loader = LOADER_UNDEFINED;
	k->h.vid_mode = VIDEO_NORMAL;
	k->h.code32_start = (uint32_t)k->base;
	k->h.cmd_line_ptr = (uint32_t)GPA_BOOT_CMDLINE;
	k->h.setup_data = 0;
	memcpy(page + ZP_HEADER, &k->h, sizeof(k->h));
	memcpy(page + ZP_RSDP, &rsdp, sizeof(rsdp));
	e820_fill(g, page);
}

bool linux_load(const struct guest *g, const struct boot_input *in, struct boot_output *out,
		char why[BOOT_WHY_MAX])
{
	struct kernel k = {0};

	if (!header_check(&in->kernel, &k, why) || !kernel_place(g, &k, why) ||
	    !boot_cmdline(g, in, k.h.cmdline_size, why))
		return false;
	if (!guest_write(g, k.base, in->kernel.data + k.offset, k.bytes))
		return boot_fail(why, "the Linux kernel does not fit");
	if (!initrd_load(g, in, &k, why))
		return false;
	zero_page_fill(g, &in->kernel, &k);
	out->kind = BOOT_BZIMAGE;
	boot_regs_64(g, k.base + ENTRY_64, &out->regs);
	out->regs.gpr[HV_RSI] = GPA_BOOT_PARAMS;
	return true;
}
