/* SPDX-License-Identifier: BSD-2-Clause */
/* See blkmem.h. */
#include "drivers/blkmem.h"

#include <string.h>

#define BOUNCES                                                                                    \
	3u /* with the page of zeros and a driver's rings they fit into one step of the DMA arena */

static struct blkbounce bounces[BOUNCES];
static struct dma zero_page;

int blkmem_prepare(void)
{
	if (!zero_page.va && dma_alloc(&zero_page, BLK_PAGE, BLK_PAGE) != 0)
		return -1;
	for (unsigned i = 0; i < BOUNCES; i++)
		if (!bounces[i].mem.va && dma_alloc(&bounces[i].mem, BOUNCE_BYTES, BLK_PAGE) != 0)
			return -1;
	return 0;
}

struct blkbounce *blkmem_take(void)
{
	for (unsigned i = 0; i < BOUNCES; i++) {
		if (bounces[i].taken)
			continue;
		bounces[i].taken = true;
		return &bounces[i];
	}
	return NULL;
}

void blkmem_give(struct blkbounce *b)
{
	b->taken = false;
}

uint64_t blkmem_zero_page(void)
{
	return zero_page.hpa;
}

void blkmem_advance(const struct blk_request *r, struct blkpos *at, uint64_t bytes)
{
	while (bytes) {
		uint32_t left = r->seg[at->seg].bytes - at->off;
		uint32_t n = bytes < left ? (uint32_t)bytes : left;

		bytes -= n;
		at->off += n;
		if (n == left)
			*at = (struct blkpos){.seg = at->seg + 1};
	}
}

void blkmem_copy(const struct blk_request *r, struct blkpos at, void *buf, size_t bytes,
		 bool to_segs)
{
	char *b = buf;

	while (bytes) {
		char *seg = (char *)r->seg[at.seg].va + at.off;
		uint32_t left = r->seg[at.seg].bytes - at.off;
		size_t n = bytes < left ? bytes : left;

		if (to_segs)
			memcpy(seg, b, n);
		else
			memcpy(b, seg, n);
		b += n;
		bytes -= n;
		at = (struct blkpos){.seg = at.seg + 1};
	}
}

/* Adds [hpa, hpa + len) to the pieces -> how much of it was taken; less than len: no more can follow. */
static uint32_t add_piece(struct blkmem *out, unsigned *n, uint64_t hpa, uint32_t len,
			  const struct blkctl_limits *l)
{
	struct blkmem *last = *n ? &out[*n - 1] : NULL;

	if (last && last->hpa + last->bytes == hpa && last->bytes < l->seg_bytes_max) {
		uint32_t room = l->seg_bytes_max - last->bytes;

		len = len < room ? len : room;
		last->bytes += len;
		return len;
	}
	if (*n == l->segs_max || hpa % l->align)
		return 0;
	if (last && (last->bytes + last->hpa) % l->align)
		return 0;
	if (last && l->boundary && (hpa % l->boundary || (last->hpa + last->bytes) % l->boundary))
		return 0;
	len = len < l->seg_bytes_max ? len : l->seg_bytes_max;
	out[(*n)++] = (struct blkmem){.hpa = hpa, .bytes = len};
	return len;
}

/* Drops what is beyond `bytes`. */
static void cut(struct blkmem *out, unsigned *n, uint32_t total, uint32_t bytes)
{
	while (*n && total > bytes) {
		struct blkmem *last = &out[*n - 1];
		uint32_t over = total - bytes < last->bytes ? total - bytes : last->bytes;

		last->bytes -= over;
		total -= over;
		*n -= last->bytes == 0;
	}
}

uint32_t blkmem_direct(const struct blk_request *r, struct blkpos at, uint32_t want,
		       uint32_t sector, const struct blkctl_limits *limits, struct blkmem *out,
		       unsigned *n)
{
	uint32_t total = 0, whole;

	*n = 0;
	while (total < want && at.seg < r->n_segs) {
		const struct blk_seg *s = &r->seg[at.seg];
		uint32_t len = s->bytes - at.off, took;

		len = len < want - total ? len : want - total;
		took = len ? add_piece(out, n, s->hpa + at.off, len, limits) : 0;
		total += took;
		at.off += took;
		if (took == 0 && len)
			break;
		if (at.off == s->bytes)
			at = (struct blkpos){.seg = at.seg + 1};
	}
	whole = total - total % sector;
	cut(out, n, total, whole);
	return whole;
}
