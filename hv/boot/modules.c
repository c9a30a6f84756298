/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Boot modules become whole pages of their own above 1 MiB before anything else uses memory: loaders put them at any
 * address (GRUB on UEFI at 0x4000), and they are handed to the control kernel page by page. Pure, like multiboot.c.
 */
#include "hv/boot/multiboot.h"

#include "hv/boot/ranges.h"
#include "hv/lib/string.h"

#define REACH_END 0x100000000ull /* the boot tables of start.S */
#define LOW_RAM_END 0xa0000ull
#define TRAMPOLINE_LOWEST                                                                          \
	0x8000ull /* below: where loaders and firmware keep stacks and tables, if there is a choice */

static struct boot_range span_of(const struct boot_info *bi, unsigned i)
{
	return (struct boot_range){ALIGN_DOWN(bi->modules[i].start, PAGE_SIZE),
				   ALIGN_UP(bi->modules[i].end, PAGE_SIZE)};
}

static bool shares_page(const struct boot_info *bi, unsigned i)
{
	struct boot_range me = span_of(bi, i);

	for (unsigned k = 0; k < bi->n_modules; k++) {
		struct boot_range other = span_of(bi, k);

		if (k != i && range_overlaps(me.start, me.end, other.start, other.end))
			return true;
	}
	return false;
}

static bool must_move(const struct boot_info *bi, unsigned i, const struct boot_range *keep)
{
	struct boot_range me = span_of(bi, i);

	return me.start != bi->modules[i].start || me.start < BOOT_LOW_END || shares_page(bi, i) ||
	       range_overlaps(me.start, me.end, keep->start, keep->end) ||
	       !ranges_contain(bi->ram, bi->n_ram, me.start, me.end);
}

/* The start of something that is in the way of [start, end), page aligned; end: nothing is. */
static hpa_t blocked_at(const struct boot_info *bi, const struct boot_range *keep, hpa_t start,
			hpa_t end)
{
	if (range_overlaps(start, end, keep->start, keep->end))
		return ALIGN_DOWN(keep->start, PAGE_SIZE);
	for (unsigned i = 0; i < bi->n_modules; i++) {
		struct boot_range m = span_of(bi, i);

		if (range_overlaps(start, end, m.start, m.end))
			return m.start;
	}
	return end;
}

/* The highest free place of `size` bytes in RAM that boot code can reach; 0: none. Each round goes further down. */
static hpa_t find_hole(const struct boot_info *bi, const struct boot_range *keep, uint64_t size)
{
	for (unsigned r = bi->n_ram; r-- > 0;) {
		hpa_t low = MAX(bi->ram[r].start, BOOT_LOW_END);
		hpa_t end = MIN(bi->ram[r].end, REACH_END);

		while (end > low && end - low >= size) {
			hpa_t block = blocked_at(bi, keep, end - size, end);

			if (block == end)
				return end - size;
			end = block;
		}
	}
	return 0;
}

static bool move(struct boot_info *bi, unsigned i, const struct boot_range *keep,
		 const struct boot_phys *phys)
{
	uint64_t len = bi->modules[i].end - bi->modules[i].start;
	hpa_t hole = find_hole(bi, keep, ALIGN_UP(len, PAGE_SIZE));
	const void *from = phys->at(phys->ctx, bi->modules[i].start, len);
	void *to = hole == 0 ? NULL : phys->at(phys->ctx, hole, len);

	if (from == NULL || to == NULL)
		return false;
	memcpy(to, from, len);
	bi->modules[i].start = hole;
	bi->modules[i].end = hole + len;
	return true;
}

static void drop(struct boot_info *bi, unsigned i)
{
	bi->n_modules--;
	memmove(&bi->modules[i], &bi->modules[i + 1], (bi->n_modules - i) * sizeof(bi->modules[0]));
	bi->modules_dropped++;
}

void modules_settle(struct boot_info *bi, const struct boot_range *keep,
		    const struct boot_phys *phys)
{
	unsigned i = 0;

	while (i < bi->n_modules) {
		if (must_move(bi, i, keep) && !move(bi, i, keep, phys))
			drop(bi, i);
		else
			i++;
	}
	/* Only now: before, the rest of a last page may have been another module's first. */
	for (i = 0; i < bi->n_modules; i++) {
		hpa_t end = bi->modules[i].end;
		uint64_t tail = ALIGN_UP(end, PAGE_SIZE) - end;
		void *p = tail == 0 ? NULL : phys->at(phys->ctx, end, tail);

		if (p != NULL)
			memset(p, 0, tail);
	}
}

hpa_t boot_low_page(const struct boot_info *bi)
{
	hpa_t lowest = 0;

	for (unsigned r = 0; r < bi->n_ram && bi->ram[r].start < LOW_RAM_END; r++) {
		hpa_t page = MAX(bi->ram[r].start, TRAMPOLINE_LOWEST);

		if (lowest == 0)
			lowest = bi->ram[r].start;
		if (page + PAGE_SIZE <= bi->ram[r].end && page < LOW_RAM_END)
			return page;
	}
	return lowest;
}
