/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tests of drives, with boot option test.hooks=1: requests with memory that lies as the test wants it, several at a time. What is
 * written is a pattern of the place and a seed; of what is read the checksum comes back.
 */
#ifndef OPS_DISK_TEST_H
#define OPS_DISK_TEST_H

#include "drivers/blkdev.h"
#include "ctrl-kernel/ops/ops.h"

#define DISK_TEST_MAX 64u /* requests at a time */

struct disk_test {
	char op[16];              /* read, write, flush, discard, zeroes */
	uint64_t offset, bytes;   /* of the first */
	uint32_t count;           /* so many at once, one behind the other */
	uint32_t seed;            /* write: 32-bit word i of the disk is i * 2654435761 + seed */
	uint32_t seg_bytes;       /* of each piece of memory; 0: all in one */
	uint32_t seg_at, seg_gap; /* where in a page the first begins; bytes between them */
	bool fua;
};

struct disk_test_result {
	unsigned ended[5]; /* by enum blk_status */
	unsigned count;
	uint32_t crc[DISK_TEST_MAX]; /* read: CRC-32 of each that was OK, else 0 */
};

typedef void (*disk_test_fn)(void *ctx, const struct disk_test_result *r);
int disk_test(struct blkdev *b, const struct disk_test *t, disk_test_fn done, void *ctx,
	      struct ops_error *e) MUST_CHECK;

#endif
