/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of address ranges: what the loader's memory map is boiled down to (multiboot.c, modules.c). */
#include "hv/boot/ranges.h"

#include "hv/lib/string.h"

static void delete_at(struct boot_range *set, unsigned *n, unsigned at, unsigned count)
{
	memmove(&set[at], &set[at + count], (*n - at - count) * sizeof(*set));
	*n -= count;
}

static bool insert_at(struct boot_range *set, unsigned *n, unsigned at, hpa_t start, hpa_t end)
{
	if (*n == BOOT_RAM_MAX)
		return false;
	memmove(&set[at + 1], &set[at], (*n - at) * sizeof(*set));
	set[at] = (struct boot_range){start, end};
	++*n;
	return true;
}

void ranges_add(struct boot_range *set, unsigned *n, hpa_t start, hpa_t end)
{
	unsigned first = 0, last;

	if (start >= end)
		return;
	while (first < *n && set[first].end < start)
		first++;
	for (last = first; last < *n && set[last].start <= end; last++) {
		start = MIN(start, set[last].start);
		end = MAX(end, set[last].end);
	}
	if (last == first) {
		(void)insert_at(set, n, first, start, end);
		return;
	}
	set[first] = (struct boot_range){start, end};
	delete_at(set, n, first + 1, last - first - 1);
}

/* [start, end) lies inside set[at]: two pieces, or the larger one when there is no room for both. */
static void split(struct boot_range *set, unsigned *n, unsigned at, hpa_t start, hpa_t end)
{
	struct boot_range low = {set[at].start, start}, high = {end, set[at].end};

	if (insert_at(set, n, at + 1, high.start, high.end))
		set[at] = low;
	else
		set[at] = low.end - low.start >= high.end - high.start ? low : high;
}

void ranges_remove(struct boot_range *set, unsigned *n, hpa_t start, hpa_t end)
{
	unsigned i = 0;

	if (start >= end)
		return;
	while (i < *n) {
		struct boot_range *r = &set[i];

		if (!range_overlaps(r->start, r->end, start, end)) {
			i++;
		} else if (start <= r->start && end >= r->end) {
			delete_at(set, n, i, 1);
		} else if (start > r->start && end < r->end) {
			split(set, n, i, start, end);
			return;
		} else if (start <= r->start) {
			r->start = end;
			i++;
		} else {
			r->end = start;
			i++;
		}
	}
}

void ranges_align(struct boot_range *set, unsigned *n)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < *n; i++) {
		hpa_t start = ALIGN_UP(set[i].start, PAGE_SIZE);
		hpa_t end = ALIGN_DOWN(set[i].end, PAGE_SIZE);

		if (start < end)
			set[kept++] = (struct boot_range){start, end};
	}
	*n = kept;
}

bool ranges_contain(const struct boot_range *set, unsigned n, hpa_t start, hpa_t end)
{
	for (unsigned i = 0; i < n; i++)
		if (start >= set[i].start && end <= set[i].end)
			return true;
	return false;
}
