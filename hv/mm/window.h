/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Per-CPU windows: how hv touches a frame it does not map. Valid only until window_close and only on this CPU;
 * at most WINDOWS open at once, closed in reverse order. Interrupts are off in hv, so nobody gets between.
 */
#ifndef HV_MM_WINDOW_H
#define HV_MM_WINDOW_H

#include "hv/lib/types.h"

#define WINDOWS 4u

void *window_open(hpa_t frame); /* 4 KiB, read-write */
void window_close(void *w);

void phys_zero(hpa_t hpa, uint64_t len);          /* frames it does not map; page multiples */
void phys_read(void *to, hpa_t from, size_t len); /* within one page */
uint64_t phys_read64(hpa_t from);                 /* aligned; one load */
/* Aligned words and what they should be. */
struct phys_word {
	hpa_t at;
	uint64_t value, mask;
};
bool phys_match(const struct phys_word *words,
		unsigned n); /* are all as they should be, under their masks? */
void phys_write(hpa_t to, const void *from, size_t len);

#endif
