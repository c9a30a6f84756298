/* SPDX-License-Identifier: BSD-2-Clause */
/* Which kind of boot image it is, and what the loaders share: placement checks, modules, command line. Pure. */
#include "ctrl-kernel/vmm/boot.h"
#include "ctrl-kernel/vmm/elf.h"
#include "ctrl-kernel/vmm/layout.h"

#include "ctrl-kernel/rt/fmt.h"

#include <string.h>

#define MIB(bytes) ((unsigned long long)(((bytes) + 0xfffff) >> 20))
#define PAGE 4096ull
#define STRING_ROOM 256u /* guest memory for one module string */

_Static_assert(GPA_BOOT_CMDLINE + BOOT_CMDLINE_MAX <= GPA_BOOT_GDT, "command line");
_Static_assert(GPA_BOOT_STRINGS + BOOT_MODULES_MAX * STRING_ROOM <= GPA_BOOT_PAGES, "strings");

bool boot_fail(char why[BOOT_WHY_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	rt_vsnprintf(why, BOOT_WHY_MAX, format, args);
	va_end(args);
	return false;
}

static bool overlaps(uint64_t base, uint64_t end, uint64_t lo, uint64_t hi)
{
	return base < hi && lo < end;
}

bool boot_place(const struct guest *g, uint64_t base, uint64_t len, const char *what,
		char why[BOOT_WHY_MAX])
{
	uint64_t end, low = guest_low_end(g);

	if (__builtin_add_overflow(base, len, &end) || end > low)
		return boot_fail(why,
				 "%s wants guest memory at 0x%llx, %llu MiB long, but the VM's "
				 "memory below 4 GiB ends at %llu MiB; give it more memory",
				 what, (unsigned long long)base, MIB(len), MIB(low));
	if (overlaps(base, end, GPA_BOOT, GPA_BOOT_END) ||
	    overlaps(base, end, GPA_TABLES, GPA_TABLES_END))
		return boot_fail(why,
				 "%s wants guest memory at 0x%llx..0x%llx, which overlaps the "
				 "start structures (0x%llx..0x%llx) or the ACPI tables "
				 "(0x%llx..0x%llx)",
				 what, (unsigned long long)base, (unsigned long long)end, GPA_BOOT,
				 GPA_BOOT_END, GPA_TABLES, GPA_TABLES_END);
	return true;
}

static uint64_t string_put(const struct guest *g, unsigned index, const char *string)
{
	uint64_t gpa = GPA_BOOT_STRINGS + index * STRING_ROOM;
	char copy[STRING_ROOM];
	size_t len = rt_snprintf(copy, sizeof(copy), "%s", string ? string : "");

	(void)!guest_write(g, gpa, copy, len + 1); /* boot_load checked that this is RAM */
	return gpa;
}

bool boot_modules(const struct guest *g, const struct boot_input *in, uint64_t from,
		  struct boot_placed placed[BOOT_MODULES_MAX], char why[BOOT_WHY_MAX])
{
	uint64_t at = from < GPA_MAIN ? GPA_MAIN : from;

	for (unsigned i = 0; i < in->n_modules; i++) {
		const struct boot_image *m = &in->modules[i];
		char what[24];

		at = (at + PAGE - 1) & ~(PAGE - 1);
		rt_snprintf(what, sizeof(what), "module %u", i + 1);
		if (!boot_place(g, at, m->bytes, what, why))
			return false;
		if (!guest_write(g, at, m->data, m->bytes))
			return boot_fail(why, "%s does not fit", what);
		placed[i] = (struct boot_placed){at, m->bytes, string_put(g, i, m->string)};
		at += m->bytes;
	}
	return true;
}

bool boot_cmdline(const struct guest *g, const struct boot_input *in, uint64_t max,
		  char why[BOOT_WHY_MAX])
{
	size_t len = strlen(in->cmdline);

	if (max > BOOT_CMDLINE_MAX - 1)
		max = BOOT_CMDLINE_MAX - 1;
	if (len > max)
		return boot_fail(why,
				 "the command line has %llu bytes; this kernel takes at most %llu",
				 (unsigned long long)len, (unsigned long long)max);
	return guest_write(g, GPA_BOOT_CMDLINE, in->cmdline, len + 1);
}

/* Names of things people upload by mistake. */
static const char *other_kind(const struct boot_image *image)
{
	static const struct {
		unsigned len;
		uint8_t magic[6];
		const char *name;
	} kinds[] = {
		{2, {0x1f, 0x8b}, "a gzip file: unpack it first"},
		{6, {0xfd, '7', 'z', 'X', 'Z', 0}, "an xz file: unpack it first"},
		{4, {0x28, 0xb5, 0x2f, 0xfd}, "a zstd file: unpack it first"},
		{3, {'B', 'Z', 'h'}, "a bzip2 file: unpack it first"},
		{4, {'Q', 'F', 'I', 0xfb}, "a qcow2 disk image"},
		{6, {'0', '7', '0', '7', '0', '1'}, "a cpio archive, perhaps the initrd"},
		{2, {'M', 'Z'}, "an EFI program"},
		{2, {'#', '!'}, "a script"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (image->bytes >= kinds[i].len &&
		    memcmp(image->data, kinds[i].magic, kinds[i].len) == 0)
			return kinds[i].name;
	return "of no known kind";
}

#define ACCEPTED                                                                                   \
	"accepted are a Linux bzImage, an ELF file with a PVH note, and a multiboot1 kernel"

static bool elf_boot(const struct guest *g, const struct boot_input *in, struct boot_output *out,
		     char why[BOOT_WHY_MAX])
{
	struct elf elf;
	uint32_t entry, header;

	if (!elf_open(&in->kernel, &elf, why))
		return false;
	if (pvh_find(&elf, &entry))
		return pvh_load(g, in, &elf, entry, out, why);
	if (multiboot_find(&in->kernel, &header))
		return multiboot_load(g, in, &elf, header, out, why);
	return boot_fail(
		why,
		"the boot image is an ELF file without PVH note and multiboot1 header; " ACCEPTED);
}

bool boot_load(const struct guest *g, const struct boot_input *in, struct boot_output *out,
	       char why[BOOT_WHY_MAX])
{
	uint32_t header;

	if (g->bytes < GUEST_RAM_MIN)
		return boot_fail(why, "the VM has less than %llu MiB of memory",
				 MIB(GUEST_RAM_MIN));
	if (in->kernel.bytes == 0)
		return boot_fail(why, "the boot image is empty; " ACCEPTED);
	if (linux_is(&in->kernel))
		return linux_load(g, in, out, why);
	if (elf_is(&in->kernel))
		return elf_boot(g, in, out, why);
	if (multiboot_find(&in->kernel, &header))
		return multiboot_load(g, in, NULL, header, out, why);
	return boot_fail(why, "the boot image is %s; " ACCEPTED, other_kind(&in->kernel));
}
