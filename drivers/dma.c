/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DMA memory for drivers: one memory object that grows by physically contiguous steps and is handed out from the
 * newest step, first come first served. Drivers allocate at start and keep what they have, so nothing is freed;
 * when the program dies hv keeps the object's frames for the next instance. Frames arrive zeroed from hv.
 */
#include "drivers/driver.h"
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/rt/rt.h"

#define STEP_PAGES_MIN 64u /* 256 KiB: a ring and its buffers come from one or two steps */
#define STEP_PAGES_MAX HV_GROW_MAX

static struct {
	uint32_t mem;
	uint64_t pages; /* of the object */
	char *va;       /* of the newest step; NULL: none */
	uint64_t hpa;
	size_t used, size;
} arena;

static uint64_t step_pages(size_t bytes)
{
	uint64_t pages = STEP_PAGES_MIN;

	while (pages * HV_PAGE_SIZE < bytes)
		pages *= 2;
	return pages;
}

static int arena_open(void)
{
	uint64_t mem;

	if (arena.mem)
		return 0;
	if (hv_mem_create(HVM_DMA, &mem) != 0)
		return -1;
	arena.mem = (uint32_t)mem;
	return 0;
}

/* A step is one MEM_GROW call: hv promises contiguity for it and alignment to its (power of two) size. */
static int arena_grow(size_t bytes)
{
	uint64_t pages = step_pages(bytes), first = arena.pages, now, hpa;
	void *va;

	if (arena_open() != 0 || hv_mem_grow(arena.mem, first + pages, &now) != 0)
		return -1;
	arena.pages = now;
	if (now != first + pages || hv_mem_phys(arena.mem, first, &hpa) != 0)
		return -1;
	va = rt_mem_map(arena.mem, first, pages, HVP_READ | HVP_WRITE);
	if (!va)
		return -1;
	arena.va = va;
	arena.hpa = hpa;
	arena.used = 0;
	arena.size = pages * HV_PAGE_SIZE;
	return 0;
}

static bool arena_fits(size_t bytes, size_t align)
{
	size_t at = (arena.used + align - 1) & ~(align - 1);

	return arena.va && at <= arena.size && bytes <= arena.size - at;
}

int dma_alloc(struct dma *out, size_t bytes, size_t align)
{
	size_t at;

	if (bytes == 0 || bytes > (size_t)STEP_PAGES_MAX * HV_PAGE_SIZE || align == 0 ||
	    (align & (align - 1)) != 0 || align > HV_PAGE_SIZE)
		return -1;
	if (!arena_fits(bytes, align) && arena_grow(bytes) != 0) {
		rt_log("dma: no memory for %zu bytes", bytes);
		return -1;
	}
	at = (arena.used + align - 1) & ~(align - 1);
	*out = (struct dma){.va = arena.va + at, .hpa = arena.hpa + at, .bytes = bytes};
	arena.used = at + bytes;
	return 0;
}
