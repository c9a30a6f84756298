/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk of memory for tests of what stands on block devices. Requests wait until the test lets one end; then the data
 * moves. DMA memory comes from the heap, its physical address is its virtual one.
 */
#ifndef TESTS_BLK_FAKES_H
#define TESTS_BLK_FAKES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "drivers/blkdev.h"
#include "drivers/driver.h"

struct ram_disk {
	struct blkdev dev;
	uint8_t *data; /* [owns] */
	struct blk_request *first;
	enum blk_status next_status; /* of the next that ends; then OK again */
	unsigned flushes;
};

static __attribute__((unused)) unsigned dma_left = 1000; /* allocations that succeed */

#define DMA_KEEP 64u
static void *dma_keep[DMA_KEEP]; /* the last allocations, for a test that gives them back */
static unsigned dma_n_keep;

static inline void dma_free_from(unsigned first)
{
	while (dma_n_keep > first)
		free(dma_keep[--dma_n_keep]);
}

static inline void ram_disk_submit(struct blkdev *b, struct blk_request *r)
{
	struct ram_disk *d = b->priv;
	struct blk_request **at = &d->first;

	while (*at)
		at = &(*at)->next;
	r->next = NULL;
	*at = r;
}

static const struct blkdev_ops ram_disk_ops = {.submit = ram_disk_submit};

static inline void ram_disk_init(struct ram_disk *d, uint64_t bytes, uint32_t sector)
{
	*d = (struct ram_disk){.data = calloc(1, bytes)};
	d->dev = (struct blkdev){.bytes = bytes,
				 .sector_bytes = sector,
				 .physical_bytes = sector,
				 .write_cache = true,
				 .ops = &ram_disk_ops,
				 .priv = d};
}

static inline void ram_disk_move(struct ram_disk *d, struct blk_request *r)
{
	uint64_t at = r->offset;

	for (unsigned i = 0; i < r->n_segs; at += r->seg[i++].bytes) {
		if (r->op == BLK_READ)
			memcpy(r->seg[i].va, d->data + at, r->seg[i].bytes);
		else
			memcpy(d->data + at, r->seg[i].va, r->seg[i].bytes);
	}
}

/* -> false: nothing was waiting. */
static inline bool ram_disk_end(struct ram_disk *d)
{
	struct blk_request *r = d->first;
	enum blk_status status = d->next_status;

	if (!r)
		return false;
	d->first = r->next;
	d->next_status = BLK_OK;
	if (status == BLK_OK &&
	    (r->offset % d->dev.sector_bytes || r->bytes % d->dev.sector_bytes ||
	     r->offset + r->bytes > d->dev.bytes))
		status = BLK_RANGE;
	if (status == BLK_OK && r->op == BLK_FLUSH)
		d->flushes++;
	if (status == BLK_OK && (r->op == BLK_READ || r->op == BLK_WRITE))
		ram_disk_move(d, r);
	r->done(r, status);
	return true;
}

int dma_alloc(struct dma *out, size_t bytes, size_t align);
int dma_alloc(struct dma *out, size_t bytes, size_t align)
{
	void *va;

	if (dma_left == 0 || posix_memalign(&va, align < 8 ? 8 : align, bytes) != 0)
		return -1;
	dma_left--;
	if (dma_n_keep < DMA_KEEP)
		dma_keep[dma_n_keep++] = va;
	memset(va, 0, bytes);
	*out = (struct dma){.va = va, .hpa = (uintptr_t)va, .bytes = bytes};
	return 0;
}

#endif
