/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Boot images: what kind it is, where it goes, and what vCPU 0 starts with. vm.c calls boot_load() before the VM
 * runs; the image is outside data of any content. Pure functions over image bytes and guest memory, so the host
 * tests and the fuzzer run them as they are. boot.c looks and dispatches; linux.c, pvh.c, multiboot.c load.
 */
#ifndef VMM_BOOT_H
#define VMM_BOOT_H

#include "hv/abi/hv_vm.h"
#include "ctrl-kernel/vmm/guest.h"

#define BOOT_WHY_MAX 192u
#define BOOT_MODULES_MAX 8u
#define BOOT_CMDLINE_MAX 4096u

enum boot_kind { BOOT_BZIMAGE = 1, BOOT_PVH = 2, BOOT_MULTIBOOT = 3 };

struct boot_image {
	const uint8_t *data; /* [borrows] */
	uint64_t bytes;
	const char *string; /* multiboot module string */
};

struct boot_input {
	struct boot_image kernel;
	const struct boot_image *modules;
	unsigned n_modules; /* at most BOOT_MODULES_MAX */
	const char *cmdline;
};

struct boot_output {
	enum boot_kind kind;
	struct hv_vcpu_regs regs;
};

/* False: why holds a sentence for people, and *out is untouched. Guest memory may be half filled then. */
MUST_CHECK bool boot_load(const struct guest *g, const struct boot_input *in,
			  struct boot_output *out, char why[BOOT_WHY_MAX]);

/* ---- between boot.c and the loaders ---- */

/* Fills why; always false, so that loaders can return it. */
bool boot_fail(char why[BOOT_WHY_MAX], const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* May an image put something at [base, base + len)? RAM below the hole, not where our own structures are. */
MUST_CHECK bool boot_place(const struct guest *g, uint64_t base, uint64_t len, const char *what,
			   char why[BOOT_WHY_MAX]);

struct boot_placed {
	uint64_t base, bytes, string; /* string: guest address of its copy */
};
/* Modules one behind the other from the first page at or after `from`, strings to GPA_BOOT_STRINGS. */
MUST_CHECK bool boot_modules(const struct guest *g, const struct boot_input *in, uint64_t from,
			     struct boot_placed placed[BOOT_MODULES_MAX], char why[BOOT_WHY_MAX]);
/* The command line to GPA_BOOT_CMDLINE, at most max bytes without the 0. */
MUST_CHECK bool boot_cmdline(const struct guest *g, const struct boot_input *in, uint64_t max,
			     char why[BOOT_WHY_MAX]);
/* Start states (regs.c): flat 32-bit protected mode without paging; 64-bit mode with low 4 GiB identity mapped. */
void boot_regs_32(const struct guest *g, uint64_t entry, struct hv_vcpu_regs *regs);
void boot_regs_64(const struct guest *g, uint64_t entry, struct hv_vcpu_regs *regs);

bool linux_is(const struct boot_image *image);
bool linux_load(const struct guest *g, const struct boot_input *in, struct boot_output *out,
		char why[BOOT_WHY_MAX]) MUST_CHECK;

struct elf;
bool pvh_find(const struct elf *elf, uint32_t *entry);
bool pvh_load(const struct guest *g, const struct boot_input *in, const struct elf *elf,
	      uint32_t entry, struct boot_output *out, char why[BOOT_WHY_MAX]) MUST_CHECK;

/* Offset of the multiboot1 header. */
bool multiboot_find(const struct boot_image *image, uint32_t *offset);
/* elf NULL: the image must carry address fields. */
bool multiboot_load(const struct guest *g, const struct boot_input *in, const struct elf *elf,
		    uint32_t header, struct boot_output *out, char why[BOOT_WHY_MAX]) MUST_CHECK;

#endif
