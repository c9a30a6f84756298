/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest's memory (backend/guestmem.h) for fakehv.c, which includes this: mapped in the second step. */
#ifndef TESTS_FAKEGUESTMEM_H
#define TESTS_FAKEGUESTMEM_H

#include "ctrl-kernel/backend/guestmem.h"

struct guest_mem {
	unsigned refs, steps;
	uint32_t vm;
	uint64_t pages;
	struct fake_object *mem;
};

int guest_mem_make(uint64_t pages, uint32_t vm, struct guest_mem **out)
{
	if (fails(HVC_MEM_CREATE))
		return fail_with;
	*out = calloc(1, sizeof(**out));
	**out = (struct guest_mem){.refs = 1, .vm = vm, .pages = pages};
	return 0;
}

int guest_mem_step(struct guest_mem *g, bool *done)
{
	if (fails(HVC_MEM_MAP))
		return fail_with;
	g->mem = handle_get(g->vm, VM) ? handle_get(g->vm, VM)->slots[HV_SLOT_RAM] : NULL;
	if (!g->mem || g->mem->pages != g->pages)
		return -HVE_INVAL;
	*done = g->steps++ > 0;
	if (*done) {
		g->mem->refs++;
		mappings++;
	}
	return 0;
}

void *guest_mem_at(struct guest_mem *g, uint64_t gpa, uint64_t bytes)
{
	uint64_t all = g->pages * HV_PAGE_SIZE;

	return gpa > all || bytes > all - gpa ? NULL : g->mem->data + gpa;
}

int guest_mem_need(struct guest_mem *g, uint64_t gpa, uint64_t bytes)
{
	return guest_mem_at(g, gpa, bytes) ? 0 : -HVE_INVAL;
}

unsigned guest_mem_begin(struct guest_mem *g)
{
	(void)g;
	return 0;
}

void guest_mem_end(struct guest_mem *g, unsigned begun)
{
	(void)g, (void)begun;
}

/* Nothing is ever given back here: tests/unit/test_balloon.c. */
uint64_t guest_mem_range(const struct guest_mem *g, uint64_t gpa_range)
{
	(void)g, (void)gpa_range;
	return 0;
}

void guest_mem_leave(struct guest_mem *g, uint64_t range)
{
	(void)g, (void)range;
}

void guest_mem_stay(struct guest_mem *g, uint64_t range)
{
	(void)g, (void)range;
}

bool guest_mem_quiet(struct guest_mem *g, void (*fn)(void *ctx), void *ctx)
{
	(void)g, (void)fn, (void)ctx;
	return true;
}

void guest_mem_quiet_cancel(struct guest_mem *g)
{
	(void)g;
}

int guest_mem_release(struct guest_mem *g, const uint64_t *range, unsigned n,
		      struct guest_mem_place *at)
{
	(void)g, (void)range;
	at->i = n;
	return 0;
}

bool guest_mem_segs(struct guest_mem *g, uint64_t gpa, uint32_t bytes, struct blk_seg *out,
		    unsigned max, unsigned *n)
{
	void *va = guest_mem_at(g, gpa, bytes);

	if (!va || bytes == 0 || *n == max)
		return false;
	out[(*n)++] = (struct blk_seg){.va = va, .hpa = gpa, .bytes = bytes};
	return true;
}

bool guest_mem_pieces(struct guest_mem *g, const void *at, size_t bytes, struct nic_piece *out,
		      unsigned max, unsigned *n)
{
	if (*n == max)
		return false;
	out[(*n)++] = (struct nic_piece){(uint64_t)((const char *)at - (const char *)g->mem->data),
					 (uint32_t)bytes};
	return true;
}

void guest_mem_get(struct guest_mem *g)
{
	g->refs++;
}

void guest_mem_put(struct guest_mem *g)
{
	if (--g->refs)
		return;
	if (g->steps > 1) {
		mappings--;
		object_put(g->mem);
	}
	free(g);
}

#endif
