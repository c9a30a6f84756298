/* SPDX-License-Identifier: BSD-2-Clause */
/* See guestmem.h. */
#include "ctrl-kernel/backend/guestmem.h"

#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/rt/hvcall.h"

#define ALIGN_PAGES 512u /* so that hv can use large pages */
#define LOW_BYTES HV_GPA_HOLE

struct span {
	uint64_t first, end; /* bytes of the object */
	uint64_t hpa;
};

struct guest_mem {
	unsigned refs;
	char *va; /* [owns] */
	uint64_t bytes;
	uint64_t mapped; /* pages */
	unsigned n_steps;
	struct {
		uint64_t page, pages;
	} * step; /* [owns] how it was mapped */
	unsigned n_spans, room;
	struct span *span; /* [owns] by `first`, without gaps */
};

/* ---- making ---- */

static int span_add(struct guest_mem *g, uint64_t first, const struct hv_span *s)
{
	struct span *last = g->n_spans ? &g->span[g->n_spans - 1] : NULL;
	uint64_t end = first + s->pages * HV_PAGE_SIZE;

	if (last && last->hpa + (last->end - last->first) == s->hpa) {
		last->end = end;
		return 0;
	}
	if (g->n_spans == g->room) {
		unsigned room = g->room ? g->room * 2 : 16;
		struct span *more = realloc(g->span, room * sizeof(*more));

		if (!more)
			return -HVE_NOMEM;
		g->span = more;
		g->room = room;
	}
	g->span[g->n_spans++] = (struct span){first, end, s->hpa};
	return 0;
}

/* Where the pages up to `end` lie. */
static int spans_read(struct guest_mem *g, uint32_t mem, uint64_t page, uint64_t end)
{
	struct hv_span span[HV_SPANS_MAX];
	uint64_t n = 0;

	while (page < end) {
		int r = hv_mem_spans(mem, page, span, HV_SPANS_MAX, &n);

		for (unsigned i = 0; r == 0 && i < n && page < end; i++) {
			if (span[i].pages > end - page)
				span[i].pages = end - page;
			r = span_add(g, page * HV_PAGE_SIZE, &span[i]);
			page += span[i].pages;
		}
		if (r)
			return r;
	}
	return 0;
}

static int step_add(struct guest_mem *g, uint64_t page, uint64_t pages)
{
	void *more = realloc(g->step, (g->n_steps + 1) * sizeof(g->step[0]));

	if (!more)
		return -HVE_NOMEM;
	g->step = more;
	g->step[g->n_steps].page = page;
	g->step[g->n_steps++].pages = pages;
	return 0;
}

/* As much as hv allows in one call: less where the memory is in small frames. -> pages, or -HVE_xxx */
static int64_t map(struct guest_mem *g, uint32_t mem)
{
	uint64_t va = (uint64_t)(uintptr_t)g->va + g->mapped * HV_PAGE_SIZE;
	uint64_t n = g->bytes / HV_PAGE_SIZE - g->mapped;
	int r;

	if (n > HV_MAP_MAX)
		n = HV_MAP_MAX;
	while ((r = hv_mem_map(mem, g->mapped, n, va, HVP_READ | HVP_WRITE)) == -HVE_LIMIT &&
	       n > HV_GROW_MAX)
		n = n / 2 / HV_GROW_MAX * HV_GROW_MAX;
	if (r)
		return r;
	r = step_add(g, g->mapped, n);
	if (r) {
		(void)hv_mem_unmap(va, n);
		return r;
	}
	return (int64_t)n;
}

static void discard(struct guest_mem *g)
{
	for (unsigned i = 0; i < g->n_steps; i++)
		(void)hv_mem_unmap((uint64_t)(uintptr_t)g->va + g->step[i].page * HV_PAGE_SIZE,
				   g->step[i].pages);
	if (g->va)
		rt_va_free(g->va, g->bytes / HV_PAGE_SIZE);
	free(g->step);
	free(g->span);
	free(g);
}

int guest_mem_make(uint64_t pages, struct guest_mem **out)
{
	struct guest_mem *g = calloc(1, sizeof(*g));

	if (!g)
		return -HVE_NOMEM;
	g->refs = 1;
	g->bytes = pages * HV_PAGE_SIZE;
	g->va = rt_va_alloc(pages, ALIGN_PAGES);
	if (!g->va) {
		discard(g);
		return -HVE_NOMEM;
	}
	*out = g;
	return 0;
}

int guest_mem_step(struct guest_mem *g, uint32_t mem, bool *done)
{
	int64_t n = map(g, mem);
	int r = n < 0 ? (int)n : spans_read(g, mem, g->mapped, g->mapped + (uint64_t)n);

	if (r)
		return r;
	g->mapped += (uint64_t)n;
	*done = g->mapped == g->bytes / HV_PAGE_SIZE;
	return 0;
}

void guest_mem_get(struct guest_mem *g)
{
	g->refs++;
}

void guest_mem_put(struct guest_mem *g)
{
	if (--g->refs == 0)
		discard(g);
}

/* ---- looking up ---- */

/* Where gpa lies in the object; *room: bytes from there on that are RAM in one piece. */
static bool offset_of(const struct guest_mem *g, uint64_t gpa, uint64_t *offset, uint64_t *room)
{
	uint64_t low = g->bytes < LOW_BYTES ? g->bytes : LOW_BYTES;

	if (gpa < low) {
		*offset = gpa;
		*room = low - gpa;
		return true;
	}
	if (gpa < HV_GPA_HOLE_END || gpa - HV_GPA_HOLE_END >= g->bytes - low)
		return false;
	*offset = low + (gpa - HV_GPA_HOLE_END);
	*room = g->bytes - *offset;
	return true;
}

void *guest_mem_at(const struct guest_mem *g, uint64_t gpa, uint64_t bytes)
{
	uint64_t offset, room;

	if (!offset_of(g, gpa, &offset, &room) || bytes > room)
		return NULL;
	return g->va + offset;
}

/* The span of an offset below g->bytes. */
static unsigned span_find(const struct guest_mem *g, uint64_t offset)
{
	unsigned low = 0, high = g->n_spans;

	while (high - low > 1) {
		unsigned middle = (low + high) / 2;

		if (g->span[middle].first <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

bool guest_mem_segs(const struct guest_mem *g, uint64_t gpa, uint32_t bytes, struct blk_seg *out,
		    unsigned max, unsigned *n)
{
	uint64_t offset, room;
	unsigned i, at = *n;

	if (bytes == 0 || !offset_of(g, gpa, &offset, &room) || bytes > room)
		return false;
	for (i = span_find(g, offset); bytes; i++) {
		const struct span *s = &g->span[i];
		uint64_t part = s->end - offset < bytes ? s->end - offset : bytes;

		if (at == max)
			return false;
		out[at++] = (struct blk_seg){.va = g->va + offset,
					     .hpa = s->hpa + (offset - s->first),
					     .bytes = (uint32_t)part};
		offset += part;
		bytes -= (uint32_t)part;
	}
	*n = at;
	return true;
}
