/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of address ranges in a fixed array: sorted, disjoint, not touching. Pure. */
#ifndef HV_BOOT_RANGES_H
#define HV_BOOT_RANGES_H

#include "hv/boot/boot.h"

static inline bool range_overlaps(hpa_t a_start, hpa_t a_end, hpa_t b_start, hpa_t b_end)
{
	return a_start < b_end && b_start < a_end;
}

/* Both forget memory rather than make some up when the table is full (BOOT_RAM_MAX). */
void ranges_add(struct boot_range *set, unsigned *n, hpa_t start, hpa_t end);
void ranges_remove(struct boot_range *set, unsigned *n, hpa_t start, hpa_t end);
/* Keeps whole pages only. */
void ranges_align(struct boot_range *set, unsigned *n);
bool ranges_contain(const struct boot_range *set, unsigned n, hpa_t start, hpa_t end);

#endif
