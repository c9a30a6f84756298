/* SPDX-License-Identifier: BSD-2-Clause */
/* See guestmem.h. */
#include "ctrl-kernel/backend/guestmem.h"

#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/rt/hvcall.h"

#define ALIGN_PAGES 512u /* so that hv can use large pages */
#define LOW_BYTES HV_GPA_HOLE

/*
 * Where a page lies: its address, and whether it is leaving; or HOLE. A block of 512 pages has one word while they lie in one
 * piece (that of its first page), else one for each.
 */
#define LEAVING 1ull
#define HOLE 2ull
#define BLOCK_PAGES 512u

struct block {
	uint64_t whole;
	uint64_t *page; /* [owns] NULL: they lie in one piece */
};

struct guest_mem {
	unsigned refs;
	uint32_t vm; /* [borrows] handle */
	char *va;    /* [owns] */
	uint64_t bytes;
	uint64_t mapped; /* pages */
	unsigned n_steps;
	struct {
		uint64_t page, pages;
	} * step;            /* [owns] how it was mapped */
	struct block *block; /* [owns] */
	bool gave;           /* there are, or may be, pages that leave or have left */
	/* Requests under way, by when they began: quiet() waits for those of one kind while new ones are of the other. */
	unsigned under_way[2], kind;
	bool both;                /* it waits for both kinds, one after the other */
	void (*quiet)(void *ctx); /* NULL: nobody waits */
	void *quiet_ctx;
};

static uint64_t pages_of(const struct guest_mem *g)
{
	return g->bytes / HV_PAGE_SIZE;
}

/* ---- words of pages ---- */

static uint64_t word_of(const struct guest_mem *g, uint64_t page)
{
	const struct block *b = &g->block[page / BLOCK_PAGES];
	uint64_t at = page % BLOCK_PAGES;

	if (b->page)
		return b->page[at];
	return b->whole == HOLE ? HOLE : b->whole + at * HV_PAGE_SIZE;
}

/* How many pages from this one on have its word as the next of a block in one piece. */
static uint64_t run_of(const struct guest_mem *g, uint64_t page)
{
	uint64_t left = pages_of(g) - page, run = BLOCK_PAGES - page % BLOCK_PAGES;

	if (g->block[page / BLOCK_PAGES].page)
		return 1;
	return run < left ? run : left;
}

static bool break_up(struct block *b)
{
	uint64_t *page = b->page ? NULL : malloc(BLOCK_PAGES * sizeof(*page));

	if (b->page || !page)
		return b->page;
	for (unsigned i = 0; i < BLOCK_PAGES; i++)
		page[i] = b->whole == HOLE ? HOLE : b->whole + i * HV_PAGE_SIZE;
	b->page = page;
	return true;
}

/* Pages that follow each other: one word for a whole block, else one for each page. -HVE_NOMEM: not all of them. */
static int words_set(struct guest_mem *g, uint64_t page, uint64_t n, uint64_t word)
{
	while (n) {
		struct block *b = &g->block[page / BLOCK_PAGES];
		uint64_t in = page % BLOCK_PAGES, room = BLOCK_PAGES - in;
		uint64_t part = n < room ? n : room;

		if (in == 0 && (part == BLOCK_PAGES || page + part == pages_of(g))) {
			free(b->page);
			*b = (struct block){.whole = word};
		} else if ((word != HOLE || b->page || b->whole != HOLE) && !break_up(b)) {
			return -HVE_NOMEM;
		}
		for (uint64_t i = 0; b->page && i < part; i++)
			b->page[in + i] = word == HOLE ? HOLE : word + i * HV_PAGE_SIZE;
		if (word != HOLE)
			word += part * HV_PAGE_SIZE;
		page += part;
		n -= part;
	}
	return 0;
}

static uint64_t *word_at(struct guest_mem *g, uint64_t page)
{
	struct block *b = &g->block[page / BLOCK_PAGES];

	return b->page ? &b->page[page % BLOCK_PAGES] : &b->whole;
}

/* ---- making ---- */

static int spans_take(struct guest_mem *g, uint32_t mem, uint64_t page, uint64_t end)
{
	struct hv_span span[HV_SPANS_MAX];
	uint64_t n = 0;

	while (page < end) {
		int r = hv_mem_spans(mem, page, span, HV_SPANS_MAX, &n);

		for (unsigned i = 0; r == 0 && i < n && page < end; i++) {
			bool hole = span[i].hpa == HV_SPAN_HOLE;

			if (span[i].pages > end - page)
				span[i].pages = end - page;
			g->gave |= hole;
			r = words_set(g, page, span[i].pages, hole ? HOLE : span[i].hpa);
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
	uint64_t n = pages_of(g) - g->mapped;
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

static uint64_t blocks_of(uint64_t pages)
{
	return (pages + BLOCK_PAGES - 1) / BLOCK_PAGES;
}

static void discard(struct guest_mem *g)
{
	for (unsigned i = 0; i < g->n_steps; i++)
		(void)hv_mem_unmap((uint64_t)(uintptr_t)g->va + g->step[i].page * HV_PAGE_SIZE,
				   g->step[i].pages);
	if (g->va)
		rt_va_free(g->va, pages_of(g));
	for (uint64_t i = 0; g->block && i < blocks_of(pages_of(g)); i++)
		free(g->block[i].page);
	free(g->block);
	free(g->step);
	free(g);
}

int guest_mem_make(uint64_t pages, uint32_t vm, struct guest_mem **out)
{
	struct guest_mem *g = calloc(1, sizeof(*g));

	if (!g)
		return -HVE_NOMEM;
	g->refs = 1;
	g->vm = vm;
	g->bytes = pages * HV_PAGE_SIZE;
	g->va = rt_va_alloc(pages, ALIGN_PAGES);
	g->block = malloc(blocks_of(pages) * sizeof(g->block[0]));
	for (uint64_t i = 0; g->block && i < blocks_of(pages); i++)
		g->block[i] = (struct block){.whole = HOLE};
	if (!g->va || !g->block) {
		discard(g);
		return -HVE_NOMEM;
	}
	*out = g;
	return 0;
}

int guest_mem_step(struct guest_mem *g, bool *done)
{
	uint64_t mem;
	int64_t n;
	int r = hv_vm_slot(g->vm, HV_SLOT_RAM, &mem);

	if (r)
		return r;
	n = map(g, (uint32_t)mem);
	r = n < 0 ? (int)n : spans_take(g, (uint32_t)mem, g->mapped, g->mapped + (uint64_t)n);
	hv_handle_close((uint32_t)mem);
	if (r)
		return r;
	g->mapped += (uint64_t)n;
	*done = g->mapped == pages_of(g);
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

/* Holes become pages. Some may be there already: the guest touches them without asking. */
static int fill(struct guest_mem *g, uint64_t page, uint64_t n)
{
	uint64_t mem;
	int r = hv_vm_slot(g->vm, HV_SLOT_RAM, &mem);

	if (r)
		return r;
	for (uint64_t part; r == 0 && n; page += part, n -= part) {
		part = n < HV_GROW_MAX ? n : HV_GROW_MAX;
		r = hv_mem_fill((uint32_t)mem, page, part);
		if (r == 0)
			r = spans_take(g, (uint32_t)mem, page, page + part);
	}
	hv_handle_close((uint32_t)mem);
	return r;
}

/* Whoever asks for a page has it from now on: it is there, and does not leave. */
static int want(struct guest_mem *g, uint64_t offset, uint64_t bytes)
{
	uint64_t page = offset / HV_PAGE_SIZE, end = (offset + bytes - 1) / HV_PAGE_SIZE + 1;

	while (page < end) {
		uint64_t run = run_of(g, page), n = end - page < run ? end - page : run;
		uint64_t word = word_of(g, page);

		if (word == HOLE) {
			int r = fill(g, page, n);

			if (r)
				return r;
		} else if (word & LEAVING) {
			*word_at(g, page) &= ~LEAVING;
		}
		page += n;
	}
	return 0;
}

void *guest_mem_at(struct guest_mem *g, uint64_t gpa, uint64_t bytes)
{
	uint64_t offset, room;

	if (!offset_of(g, gpa, &offset, &room) || bytes > room)
		return NULL;
	if (g->gave && bytes && want(g, offset, bytes))
		return NULL;
	return g->va + offset;
}

int guest_mem_need(struct guest_mem *g, uint64_t gpa, uint64_t bytes)
{
	uint64_t offset, room;

	if (bytes == 0 || !offset_of(g, gpa, &offset, &room) || bytes > room)
		return -HVE_INVAL;
	return g->gave ? want(g, offset, bytes) : 0;
}

/* The longest piece from there on that is contiguous for DMA, at most `bytes`; 0: a hole, which nobody needed. */
static uint32_t piece_at(struct guest_mem *g, uint64_t offset, uint64_t bytes, uint64_t *hpa)
{
	uint64_t page = offset / HV_PAGE_SIZE, in = offset % HV_PAGE_SIZE;
	uint64_t run = run_of(g, page) * HV_PAGE_SIZE - in, word = word_of(g, page);

	if (word == HOLE)
		return 0;
	if (word & LEAVING)
		*word_at(g, page) &= ~LEAVING;
	*hpa = (word & ~LEAVING) + in;
	return (uint32_t)(run < bytes ? run : bytes);
}

/* A piece behind the last one that goes on from it joins it. False: out[] is full. */
static bool seg_add(struct blk_seg *out, unsigned first, unsigned max, unsigned *at,
		    const struct blk_seg *s)
{
	struct blk_seg *last = *at > first ? &out[*at - 1] : NULL;

	if (last && last->hpa + last->bytes == s->hpa) {
		last->bytes += s->bytes;
		return true;
	}
	if (*at == max)
		return false;
	out[(*at)++] = *s;
	return true;
}

bool guest_mem_segs(struct guest_mem *g, uint64_t gpa, uint32_t bytes, struct blk_seg *out,
		    unsigned max, unsigned *n)
{
	uint64_t offset, room;
	unsigned at = *n;

	if (bytes == 0 || !offset_of(g, gpa, &offset, &room) || bytes > room)
		return false;
	while (bytes) {
		struct blk_seg s = {.va = g->va + offset};

		s.bytes = piece_at(g, offset, bytes, &s.hpa);
		if (s.bytes == 0)
			return false;
		if (!seg_add(out, *n, max, &at, &s))
			return false;
		offset += s.bytes;
		bytes -= s.bytes;
	}
	*n = at;
	return true;
}

bool guest_mem_pieces(struct guest_mem *g, const void *at, size_t bytes, struct nic_piece *out,
		      unsigned max, unsigned *n)
{
	uint64_t offset = (uint64_t)((const char *)at - g->va);
	struct nic_piece *last;
	uint64_t hpa;

	for (uint32_t part; bytes; offset += part, bytes -= part) {
		part = piece_at(g, offset, bytes, &hpa);
		if (part == 0)
			return false;
		last = *n ? &out[*n - 1] : NULL;
		if (last && last->hpa + last->bytes == hpa) {
			last->bytes += part;
			continue;
		}
		if (*n == max)
			return false;
		out[(*n)++] = (struct nic_piece){hpa, part};
	}
	return true;
}

/* ---- requests under way ---- */

unsigned guest_mem_begin(struct guest_mem *g)
{
	g->under_way[g->kind]++;
	return g->kind;
}

void guest_mem_end(struct guest_mem *g, unsigned begun)
{
	void (*quiet)(void *ctx) = g->quiet;

	if (--g->under_way[begun] || begun == g->kind || !quiet)
		return;
	if (g->both) {
		g->both = false;
		g->kind = !g->kind;
		if (g->under_way[!g->kind])
			return;
	}
	g->quiet = NULL;
	quiet(g->quiet_ctx);
}

bool guest_mem_quiet(struct guest_mem *g, void (*fn)(void *ctx), void *ctx)
{
	if (g->under_way[0] + g->under_way[1] == 0)
		return true;
	/* Those of the other kind have ended, unless a wait for them was given up. */
	g->both = g->under_way[!g->kind] != 0;
	if (!g->both)
		g->kind = !g->kind;
	g->quiet = fn;
	g->quiet_ctx = ctx;
	return false;
}

void guest_mem_quiet_cancel(struct guest_mem *g)
{
	g->quiet = NULL;
}

/* ---- giving back ---- */

uint64_t guest_mem_range(const struct guest_mem *g, uint64_t gpa_range)
{
	uint64_t page = HV_RANGE_PAGE(gpa_range), pages = HV_RANGE_PAGES(gpa_range), offset, room;

	if (pages == 0 || page >= UINT64_MAX / HV_PAGE_SIZE ||
	    !offset_of(g, page * HV_PAGE_SIZE, &offset, &room) || pages > room / HV_PAGE_SIZE)
		return 0;
	return HV_RANGE(offset / HV_PAGE_SIZE, pages);
}

void guest_mem_leave(struct guest_mem *g, uint64_t range)
{
	uint64_t page = HV_RANGE_PAGE(range), end = page + HV_RANGE_PAGES(range);

	g->gave = true;
	while (page < end) {
		uint64_t run = run_of(g, page), n = end - page < run ? end - page : run;
		bool whole = page % BLOCK_PAGES == 0 && n == run;

		if (word_of(g, page) != HOLE &&
		    (whole || break_up(&g->block[page / BLOCK_PAGES]))) {
			n = run_of(g, page); /* 1 when it was broken up just now */
			*word_at(g, page) |= LEAVING;
		}
		page += n;
	}
}

void guest_mem_stay(struct guest_mem *g, uint64_t range)
{
	uint64_t page = HV_RANGE_PAGE(range), end = page + HV_RANGE_PAGES(range);

	for (; page < end; page += run_of(g, page))
		if (word_of(g, page) != HOLE)
			*word_at(g, page) &= ~LEAVING;
}

struct batch {
	uint64_t range[HV_RANGES_MAX], pages;
	unsigned n;
};

static bool batch_add(struct batch *b, uint64_t page, uint64_t n)
{
	uint64_t *last = b->n ? &b->range[b->n - 1] : NULL;

	if (b->pages + n > HV_RELEASE_MAX)
		return false;
	if (last && HV_RANGE_PAGE(*last) + HV_RANGE_PAGES(*last) == page)
		*last = HV_RANGE(HV_RANGE_PAGE(*last), HV_RANGE_PAGES(*last) + n);
	else if (b->n == HV_RANGES_MAX)
		return false;
	else
		b->range[b->n++] = HV_RANGE(page, n);
	b->pages += n;
	return true;
}

/* What still leaves, from *at on, as much as one call takes. What is a hole here may be a page again: the guest has it. */
static void batch_collect(struct guest_mem *g, const uint64_t *range, unsigned n,
			  struct guest_mem_place *at, struct batch *b)
{
	for (; at->i < n; *at = (struct guest_mem_place){at->i + 1, 0}) {
		while (at->pages < HV_RANGE_PAGES(range[at->i])) {
			uint64_t page = HV_RANGE_PAGE(range[at->i]) + at->pages;
			uint64_t left = HV_RANGE_PAGES(range[at->i]) - at->pages;
			uint64_t run = run_of(g, page);

			if (run > left)
				run = left;
			if ((word_of(g, page) & (HOLE | LEAVING)) && !batch_add(b, page, run))
				return;
			at->pages += run;
		}
	}
}

int guest_mem_release(struct guest_mem *g, const uint64_t *range, unsigned n,
		      struct guest_mem_place *at)
{
	static struct batch b; /* large */
	struct guest_mem_place to = *at;
	uint64_t done = 0;
	int r = 0;

	b.n = 0;
	b.pages = 0;
	batch_collect(g, range, n, &to, &b);
	if (b.n)
		r = hv_vm_release(g->vm, b.range, b.n, &done);
	if (r == -HVE_BUSY)
		return r;
	g->gave |= b.n != 0;
	/* No memory to note a hole: then its word is wrong, and nothing may use it. */
	for (unsigned i = 0; i < b.n; i++)
		if (r || i >= done)
			guest_mem_stay(g, b.range[i]);
		else if (words_set(g, HV_RANGE_PAGE(b.range[i]), HV_RANGE_PAGES(b.range[i]), HOLE))
			rt_die("no memory to note what a guest has given back");
	*at = to;
	return 0;
}
