/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/boot/multiboot.c
// SRC: hv/boot/modules.c
// SRC: hv/boot/ranges.c
// SRC: hv/lib/string.c
/*
 * Any bytes as the loader's memory. The first byte chooses multiboot 1 or 2; the information begins at 4 KiB, and
 * pointers into the same 256 KiB find more of the input. Whatever comes out must be what the rest of boot relies on.
 */
#include <stdlib.h>
#include <string.h>

#include "hv/boot/multiboot.h"
#include "hv/boot/ranges.h"
#include "hv/boot/start.h"

#define PHYS_SIZE 0x200000u
#define INFO 0x1000u

static uint8_t phys[PHYS_SIZE];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *at(void *ctx, hpa_t start, uint64_t len)
{
	(void)ctx;
	return len > PHYS_SIZE || start > PHYS_SIZE - len ? NULL : phys + start;
}

static void check(int ok)
{
	if (!ok)
		abort();
}

static void check_ram(const struct boot_info *bi)
{
	check(bi->n_ram <= BOOT_RAM_MAX);
	for (unsigned i = 0; i < bi->n_ram; i++) {
		const struct boot_range *r = &bi->ram[i];

		check(r->start < r->end && r->start % PAGE_SIZE == 0 && r->end % PAGE_SIZE == 0);
		check(r->start >= PAGE_SIZE && r->end <= 1ull << 52);
		check(i == 0 || r->start > bi->ram[i - 1].end);
		check(!range_overlaps(r->start, r->end, 0xa0000, BOOT_LOW_END));
	}
}

static void check_modules(const struct boot_info *bi, const struct boot_range *image)
{
	for (unsigned i = 0; i < bi->n_modules; i++) {
		hpa_t start = bi->modules[i].start, top = ALIGN_UP(bi->modules[i].end, PAGE_SIZE);

		check(start % PAGE_SIZE == 0 && start < top && start >= BOOT_LOW_END);
		check(ranges_contain(bi->ram, bi->n_ram, start, top));
		check(!range_overlaps(start, top, image->start, image->end));
		check(strnlen(bi->modules[i].string, 48) < 48);
		for (unsigned k = 0; k < i; k++)
			check(!range_overlaps(start, top, bi->modules[k].start,
					      ALIGN_UP(bi->modules[k].end, PAGE_SIZE)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct boot_info bi;
	const struct boot_phys memory = {at, NULL};
	const struct boot_range image = {0x120000, 0x140000};

	if (size < 1 || size > 0x40000)
		return 0;
	memset(phys, 0, 0x80000);
	memcpy(phys + INFO, data + 1, size - 1);
	if (multiboot_parse(data[0] & 1 ? MB1_MAGIC : MB2_MAGIC, INFO, &memory, &bi) != 0)
		return 0;
	check(strnlen(bi.cmdline, sizeof(bi.cmdline)) < sizeof(bi.cmdline));
	check(bi.n_modules <= BOOT_MODULES_MAX);
	check_ram(&bi);
	modules_settle(&bi, &image, &memory);
	check_modules(&bi, &image);
	check(boot_low_page(&bi) < BOOT_LOW_END);
	return 0;
}
