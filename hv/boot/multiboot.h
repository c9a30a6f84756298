/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading what the loader left in memory. Pure: physical memory comes through an accessor. */
#ifndef HV_BOOT_MULTIBOOT_H
#define HV_BOOT_MULTIBOOT_H

#include "hv/boot/boot.h"

/* The bytes [start, start + len) of physical memory, or NULL when they cannot be reached. */
struct boot_phys {
	void *(*at)(void *ctx, hpa_t start, uint64_t len);
	void *ctx;
};

#define BOOT_LOW_END 0x100000ull /* memory below is never given to the allocator */

/* magic as in eax at entry. HVE_INVAL: not from a multiboot loader, or its information cannot be reached. */
int multiboot_parse(uint32_t magic, hpa_t info, const struct boot_phys *phys,
		    struct boot_info *out) MUST_CHECK;

/*
 * Makes every module whole pages of its own, in RAM above 1 MiB, the tail of the last page zeroed: modules that are
 * not so already are copied to free RAM below 4 GiB. keep: what else must not be overwritten (the image). One that
 * fits nowhere is dropped and counted in modules_dropped.
 */
void modules_settle(struct boot_info *bi, const struct boot_range *keep,
		    const struct boot_phys *phys);

/* A page of RAM below 1 MiB for the AP trampoline; call after modules_settle. 0: there is none. */
hpa_t boot_low_page(const struct boot_info *bi);

#endif
