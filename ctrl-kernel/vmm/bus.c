/* SPDX-License-Identifier: BSD-2-Clause */
/* The bus: a short table, searched from the range hit last. Pure. */
#include "ctrl-kernel/vmm/bus.h"
#include "ctrl-kernel/rt/rt.h"

#include <assert.h>

bool bus_free(const struct bus *b, uint32_t space, uint64_t base, uint64_t len)
{
	for (unsigned i = 0; i < b->n; i++) {
		const struct bus_range *r = &b->ranges[i];

		if (r->space == space && base < r->base + r->len && r->base < base + len)
			return false;
	}
	return true;
}

void bus_remove(struct bus *b, uint32_t space, uint64_t base)
{
	for (unsigned i = 0; i < b->n; i++) {
		if (b->ranges[i].space != space || b->ranges[i].base != base)
			continue;
		b->ranges[i] = b->ranges[--b->n];
		b->last = NULL; /* what it pointed to may have moved */
		return;
	}
}

void bus_add(struct bus *b, uint32_t space, uint64_t base, uint64_t len, bus_fn fn, void *dev)
{
	assert(b->n < BUS_RANGES_MAX && len > 0 && bus_free(b, space, base, len));
	b->ranges[b->n] = (struct bus_range){base, len, fn, dev, space};
	b->last = &b->ranges[b->n++];
}

static inline bool hit(const struct bus_range *r, uint32_t space, uint64_t addr, unsigned width)
{
	uint64_t offset = addr - r->base;

	return offset < r->len && width <= r->len - offset && r->space == space;
}

/* Out of line: the common case needs no registers for it. */
static __attribute__((noinline)) struct bus_range *find(struct bus *b, uint32_t space,
							uint64_t addr, unsigned width)
{
	for (unsigned i = 0; i < b->n; i++)
		if (hit(&b->ranges[i], space, addr, width))
			return &b->ranges[i];
	return NULL;
}

uint64_t bus_access(struct bus *b, uint32_t access, uint64_t addr, unsigned width, uint64_t value)
{
	uint32_t space = access <= HV_PIO_WRITE ? HV_SPACE_PIO : HV_SPACE_MMIO;
	bool write = access == HV_PIO_WRITE || access == HV_MMIO_WRITE;
	struct bus_range *r = b->last;

	if (!r || !hit(r, space, addr, width)) {
		r = find(b, space, addr, width);
		if (!r)
			return UINT64_MAX; /* as if nobody were there */
		b->last = r;
	}
	return r->fn(r->dev, addr - r->base, width, write, value);
}
