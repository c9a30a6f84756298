/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/vmm/boot.c
// SRC: ctrl-kernel/vmm/linux.c
// SRC: ctrl-kernel/vmm/pvh.c
// SRC: ctrl-kernel/vmm/multiboot.c
// SRC: ctrl-kernel/vmm/elf.c
// SRC: ctrl-kernel/vmm/regs.c
// SRC: ctrl-kernel/vmm/guest.c
// SRC: ctrl-kernel/rt/fmt.c
/*
 * Boot images of any content into a VM of 4 MiB. The first byte chooses what to help with: the rest of the magic of
 * a kind is put in place, so that the fuzzer gets past the first comparison.
 */
#include <stdlib.h>
#include <string.h>

#include "ctrl-kernel/vmm/boot.h"

#define RAM 0x400000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void help(uint8_t kind, uint8_t *image, size_t size)
{
	const uint32_t header[3] = {0x1badb002, 0x10000, 0u - 0x1badb002u - 0x10000u};

	switch (kind & 3) {
	case 1:
		if (size > 0x264) {
			memcpy(image + 0x202, "HdrS\x0f\x02", 6);
			image[0x236] |= 1;
		}
		break;
	case 2:
		if (size > 64) {
			memcpy(image, (kind & 4) ? "\177ELF\1\1" : "\177ELF\2\1", 6);
			image[18] = (kind & 4) ? 3 : 62;
			image[19] = 0;
		}
		break;
	case 3:
		if (size > 64)
			memcpy(image + 16, header, sizeof(header));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct guest g;
	struct boot_image module;
	struct boot_input in = {.modules = &module, .cmdline = "console=ttyS0"};
	struct boot_output out;
	char why[BOOT_WHY_MAX] = "";
	uint8_t *image;

	if (size < 2)
		return 0;
	image = malloc(size - 1); /* exactly: ASan sees every overrun */
	g = (struct guest){calloc(1, RAM), RAM};
	memcpy(image, data + 1, size - 1);
	help(data[0], image, size - 1);
	in.kernel = (struct boot_image){image, size - 1, "kernel"};
	module = (struct boot_image){image, (size - 1) / 2, "module"};
	in.n_modules = data[0] >> 7;
	if (!boot_load(&g, &in, &out, why) && why[0] == 0)
		abort(); /* refused without a word */
	free(g.ram);
	free(image);
	return 0;
}
