/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Places for mappings: a sorted table of free page ranges between 4 GiB and 1 TiB (above lies a vmm's guest
 * RAM). First fit; neighbours merge when freed, so create-and-delete cycles end with one range again.
 */
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/rt/rt.h"

#define VA_LO 0x100000000ull
#define VA_HI 0x10000000000ull
#define RANGES_MAX 256u

struct range {
	uint64_t start, end;
};

static struct range free_ranges[RANGES_MAX] = {{VA_LO, VA_HI}};
static unsigned n_free = 1;

static bool insert(unsigned at, struct range r)
{
	if (n_free == RANGES_MAX)
		return false;
	for (unsigned i = n_free; i > at; i--)
		free_ranges[i] = free_ranges[i - 1];
	free_ranges[at] = r;
	n_free++;
	return true;
}

static void range_remove(unsigned at)
{
	n_free--;
	for (unsigned i = at; i < n_free; i++)
		free_ranges[i] = free_ranges[i + 1];
}

void *rt_va_alloc(uint64_t pages, uint64_t align_pages)
{
	uint64_t align = (align_pages ? align_pages : 1) * HV_PAGE_SIZE;
	uint64_t len = pages * HV_PAGE_SIZE;

	if (pages == 0 || pages > VA_HI / HV_PAGE_SIZE || (align & (align - 1)))
		return NULL;
	for (unsigned i = 0; i < n_free; i++) {
		struct range r = free_ranges[i];
		uint64_t start = (r.start + align - 1) & ~(align - 1);

		if (start > r.end || r.end - start < len)
			continue;
		if (start == r.start && start + len == r.end) {
			range_remove(i);
		} else if (start == r.start) {
			free_ranges[i].start = start + len;
		} else {
			if (start + len != r.end &&
			    !insert(i + 1, (struct range){start + len, r.end}))
				return NULL;
			free_ranges[i].end = start;
		}
		return (void *)(uintptr_t)start;
	}
	return NULL;
}

void rt_va_free(void *va, uint64_t pages)
{
	uint64_t start = (uintptr_t)va, end = start + pages * HV_PAGE_SIZE;
	unsigned at = 0;

	if (pages == 0)
		return;
	while (at < n_free && free_ranges[at].start < start)
		at++;
	if ((at > 0 && free_ranges[at - 1].end > start) ||
	    (at < n_free && free_ranges[at].start < end) || start < VA_LO || end > VA_HI)
		rt_die("rt_va_free: %p was not allocated", va);
	if (at > 0 && free_ranges[at - 1].end == start) {
		free_ranges[at - 1].end = end;
		if (at < n_free && free_ranges[at].start == end) {
			free_ranges[at - 1].end = free_ranges[at].end;
			range_remove(at);
		}
	} else if (at < n_free && free_ranges[at].start == end) {
		free_ranges[at].start = start;
	} else if (!insert(at, (struct range){start, end})) {
		rt_log("address space is fragmented: %llu pages at %p are lost",
		       (unsigned long long)pages, va);
	}
}

/* 2 MiB alignment where it can matter, so that hv can use large pages. */
void *rt_mem_map(uint32_t mem, uint64_t page_off, uint64_t pages, uint32_t prot)
{
	void *va = rt_va_alloc(pages, pages >= 512 ? 512 : 1);

	if (!va)
		return NULL;
	for (uint64_t done = 0, n; done < pages; done += n) {
		uint64_t at = (uintptr_t)va + done * HV_PAGE_SIZE;

		n = pages - done < HV_MAP_MAX ? pages - done : HV_MAP_MAX;
		if (hv_mem_map(mem, page_off + done, n, at, prot) == 0)
			continue;
		if (done)
			(void)hv_mem_unmap((uintptr_t)va, done);
		rt_va_free(va, pages);
		return NULL;
	}
	return va;
}

void rt_mem_unmap(void *va, uint64_t pages)
{
	if (!va)
		return;
	if (hv_mem_unmap((uintptr_t)va, pages) != 0)
		rt_die("rt_mem_unmap: %p is not mapped", va);
	rt_va_free(va, pages);
}
