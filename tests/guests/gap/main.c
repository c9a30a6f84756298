/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest that only computes: the longest time that it was not let to, as its TSC shows it, and what it lost by such gaps. Told every
 * so often; the telling does not count. With interrupts on: in Bochs a guest without
 * them is not interrupted at all. */
#include "guest.h"

enum { ROUND_TICKS = 20000000, GAP_TICKS = 20000 };

void guest_main(void)
{
	pic_mask_all();
	sti();
	for (uint32_t round = 0;; round++) {
		uint64_t start = rdtsc(), last = start, longest = 0, lost = 0, gaps = 0;

		while (last - start < ROUND_TICKS) {
			uint64_t now = rdtsc(), gap = now - last;

			if (gap > longest)
				longest = gap;
			if (gap > GAP_TICKS) {
				lost += gap;
				gaps++;
			}
			last = now;
		}
		print("round %u: longest %lu, %lu gaps, lost %lu", round, longest, gaps, lost);
	}
}
