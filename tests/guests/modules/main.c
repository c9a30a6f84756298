/* SPDX-License-Identifier: BSD-2-Clause */
/* What the loader hands over, by multiboot 1 and by PVH: the command line, and each module's string and bytes. */
#include "guest.h"

#define MULTIBOOT_MAGIC 0x2badb002u /* Multiboot Specification 0.6.96, 3.2 */
#define PVH_MAGIC 0x336ec578u       /* Xen public/arch-x86/hvm/start_info.h */
#define INFO_CMDLINE 0x4u
#define INFO_MODULES 0x8u
#define SHOWN 24u /* first bytes of a module that are printed */

struct multiboot_info { /* 3.3 */
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, n_modules, modules;
};
struct multiboot_module {
	uint32_t start, end, string, reserved;
};
struct pvh_info {
	uint32_t magic, version, flags, n_modules;
	uint64_t modules, cmdline;
};
struct pvh_module {
	uint64_t base, bytes, string, reserved;
};

static const char *text_at(uint64_t address)
{
	return (const char *)address;
}

static void show_module(unsigned n, uint64_t base, uint64_t bytes, uint64_t string)
{
	const uint8_t *at = (const uint8_t *)base;
	char first[SHOWN + 1];
	uint32_t sum = 0;
	unsigned i;

	check(base % 4096 == 0, "module %u at %lx is not page-aligned", n, base);
	for (i = 0; i < SHOWN && i < bytes; i++)
		first[i] = at[i] >= 0x20 && at[i] < 0x7f ? (char)at[i] : '?';
	first[i] = '\0';
	for (uint64_t b = 0; b < bytes; b++)
		sum += at[b];
	print("module %u: string \"%s\", %lu bytes, sum %u, begins \"%s\"", n, text_at(string),
	      bytes, sum, first);
}

static void multiboot(const struct multiboot_info *info)
{
	const struct multiboot_module *m = (const void *)(uint64_t)info->modules;

	check((info->flags & (INFO_CMDLINE | INFO_MODULES)) == (INFO_CMDLINE | INFO_MODULES),
	      "flags %x", info->flags);
	print("entry multiboot1, cmdline \"%s\", %u modules", text_at(info->cmdline),
	      info->n_modules);
	for (unsigned i = 0; i < info->n_modules; i++)
		show_module(i, m[i].start, m[i].end - m[i].start, m[i].string);
}

static void pvh(const struct pvh_info *info)
{
	const struct pvh_module *m = (const void *)info->modules;

	check(info->magic == PVH_MAGIC, "neither multiboot (%x) nor PVH (%x)", boot_magic,
	      info->magic);
	print("entry pvh, cmdline \"%s\", %u modules", text_at(info->cmdline), info->n_modules);
	for (unsigned i = 0; i < info->n_modules; i++)
		show_module(i, m[i].base, m[i].bytes, m[i].string);
}

void guest_main(void)
{
	if (boot_magic == MULTIBOOT_MAGIC)
		multiboot((const void *)(uint64_t)boot_info);
	else
		pvh((const void *)(uint64_t)boot_info);
	done();
}
