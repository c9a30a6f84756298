/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside ops: DMA buffers between a byte stream and a volume. There is a fixed number, made when first wanted and never
 * given back; a transfer takes its few at its beginning or is refused.
 */
#ifndef OPS_IOBUF_H
#define OPS_IOBUF_H

#include "drivers/blkdev.h"
#include "ctrl-kernel/ops/ops.h"

#define IOBUF_BYTES 131072u
#define IOBUFS_MAX 64u
#define IOBUFS_EACH 4u /* of a transfer */

struct iobuf {
	uint8_t *data;
	struct blk_seg seg;
	struct blk_request rq;
	uint64_t offset; /* of the volume: where data[0] belongs */
	uint32_t used;   /* bytes of data */
	bool busy;       /* a request is under way, or it is not this transfer's turn */
	struct iobuf *next;
};

struct iobufs {                         /* of one transfer */
	struct iobuf *buf[IOBUFS_EACH]; /* [owns] */
};

int iobufs_take(struct iobufs *set, struct ops_error *e) MUST_CHECK;
void iobufs_give(struct iobufs *set);
/* Reads or writes bytes of b at its offset. done(rq, ...): rq->ctx is ctx, iobuf_of(rq) is b. */
void iobuf_go(struct iobuf *b, struct blkdev *dev, enum blk_op op, uint32_t bytes,
	      void (*done)(struct blk_request *, enum blk_status), void *ctx);
struct iobuf *iobuf_of(struct blk_request *rq);
/* A status that is not OK, in the words of this layer. */
int iobuf_fail(struct ops_error *e, enum blk_status status, const char *doing);

#endif
