/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory of block requests: how much of it the hardware can take as it lies, and the bounce buffers for the rest.
 * Part of blkctl.
 */
#ifndef DRIVERS_BLKMEM_H
#define DRIVERS_BLKMEM_H

#include "drivers/blkctl.h"
#include "drivers/driver.h"

#define BLK_PAGE 4096u
#define BOUNCE_BYTES (64u << 10)

struct blkbounce {
	struct dma mem;
	bool taken;
};

struct blkpos { /* a place in the segments of a request */
	unsigned seg, off;
};

/*
 * As much of at most `want` bytes from `at` on as one command can take without copying: whole sectors, 0 when not even
 * one. out has room for limits->segs_max.
 */
uint32_t blkmem_direct(const struct blk_request *r, struct blkpos at, uint32_t want,
		       uint32_t sector, const struct blkctl_limits *limits, struct blkmem *out,
		       unsigned *n);
void blkmem_advance(const struct blk_request *r, struct blkpos *at, uint64_t bytes);
/* Between the segments from `at` on and a buffer. */
void blkmem_copy(const struct blk_request *r, struct blkpos at, void *buf, size_t bytes,
		 bool to_segs);

/* Buffers are made at the first call. -1: no memory. */
int blkmem_prepare(void);
struct blkbounce *blkmem_take(void); /* NULL: all are in use */
void blkmem_give(struct blkbounce *b);
uint64_t blkmem_zero_page(void); /* BLK_PAGE bytes of zeros, hpa */

#endif
