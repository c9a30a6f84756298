/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drives of memory, with a write cache that a power cut loses: the list of drives (drivers/disks.h) and DMA memory of the
 * tests. A request ends in a later turn of the loop; the data moves then.
 */
#ifndef TESTS_DRIVE_FAKES_H
#define TESTS_DRIVE_FAKES_H

#include "drivers/blkdev.h"

struct fake_drive {
	struct blkdev dev;
	uint8_t *now;   /* [owns] as reads see it */
	uint8_t *media; /* [owns] what is there whatever happens */
	bool *dirty;    /* [owns] sectors in the cache only */
	struct blk_request *first;
	unsigned requests; /* ended so far */
	unsigned fail_at;  /* that one, and all behind it, fail with fail_status; 0: none */
	enum blk_status fail_status;
	bool no_zeroes;    /* WRITE_ZEROES and DISCARD end with UNSUPPORTED */
	bool any_order;    /* requests end in any order */
	unsigned count[5]; /* ended well, by enum blk_op */
	unsigned most_segs;
};

struct fake_drive *fake_drive_add(const char *name, uint64_t bytes, uint32_t sector);
struct fake_drive *fake_drive(unsigned i);
unsigned fake_drives(void);
void fake_drives_free(void);
/* Called after each request of any drive that wrote or flushed, before its done(). */
extern void (*fake_drive_hook)(struct fake_drive *d, const struct blk_request *r);
/* What a cut leaves of a drive's first and last `edge` bytes: its media, and of what is dirty any part. out: dev.bytes. */
void fake_drive_cut(const struct fake_drive *d, uint64_t edge, uint8_t *out, unsigned seed);
extern unsigned fake_dma_left; /* allocations that succeed */

#endif
