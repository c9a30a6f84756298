/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the loader told us, copied and checked (multiboot.c), and the images fused into this file.
 */
#ifndef HV_BOOT_BOOT_H
#define HV_BOOT_BOOT_H

#include "hv/lib/types.h"

#define BOOT_RAM_MAX 128u
#define BOOT_MODULES_MAX 40u

struct boot_range {
	hpa_t start, end;
};

struct boot_info {
	char cmdline[1024]; /* without a leading file name */
	unsigned n_ram;     /* usable RAM, sorted, merged, page aligned inwards */
	struct boot_range ram[BOOT_RAM_MAX];
	unsigned n_modules;
	struct {
		hpa_t start, end;
		char string[48];
	} modules[BOOT_MODULES_MAX];
	unsigned modules_dropped; /* beyond the table or malformed */
	unsigned
		rsdp_len; /* the loader's copy of the RSDP (multiboot 2): 20 or 36 bytes; 0: search low memory */
	uint8_t rsdp_copy[36];
	bool multiboot2, efi;
};

extern const uint8_t image_ctrl[], image_ctrl_end[], image_vmm[], image_vmm_end[]; /* ELF64 */
extern const char hv_version[], hv_build_id[];

#endif
