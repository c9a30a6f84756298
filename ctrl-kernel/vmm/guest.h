/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory as a vmm sees it: one linear mapping (VMM_RAM_VA), whose first HV_GPA_HOLE bytes are guest-physical
 * 0.. and whose rest begins at 4 GiB. Everything is copied once, then checked; pointers into guest memory stay
 * inside guest.c and the loaders, which fill memory nobody runs in yet. Pure: host tests use a malloc'ed block.
 */
#ifndef VMM_GUEST_H
#define VMM_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl-kernel/rt/rt.h"

struct guest {
	uint8_t *ram; /* [borrows] */
	uint64_t bytes;
};

enum ram_type { RAM_USABLE = 1, RAM_RESERVED = 2 }; /* E820 numbers */

struct ram_range {
	uint64_t base, bytes;
	uint32_t type; /* enum ram_type */
};
#define RAM_RANGES_MAX 6u

/* Where usable RAM below 4 GiB ends. */
uint64_t guest_low_end(const struct guest *g);
/* len bytes at gpa, contiguous; NULL when not all of them are RAM. For loaders and guest.c. */
void *guest_at(const struct guest *g, uint64_t gpa, uint64_t len);
MUST_CHECK bool guest_read(const struct guest *g, uint64_t gpa, void *to, size_t len);
MUST_CHECK bool guest_write(const struct guest *g, uint64_t gpa, const void *from, size_t len);
/* The memory map that guests are told, by address. */
unsigned guest_map(const struct guest *g, struct ram_range out[RAM_RANGES_MAX]);

#endif
