/* SPDX-License-Identifier: BSD-2-Clause */
/* DMA buffers of transfers (iobuf.h). */
#include "ctrl-kernel/ops/iobuf.h"

#include <stddef.h>
#include "drivers/driver.h"

static struct iobuf all[IOBUFS_MAX];
static unsigned made;
static struct iobuf *spare;

static struct iobuf *take(void)
{
	struct iobuf *b = spare;
	struct dma mem;

	if (b) {
		spare = b->next;
		return b;
	}
	if (made == IOBUFS_MAX || dma_alloc(&mem, IOBUF_BYTES, HV_PAGE_SIZE))
		return NULL;
	b = &all[made++];
	b->data = mem.va;
	b->seg = (struct blk_seg){.va = mem.va, .hpa = mem.hpa};
	return b;
}

static void give(struct iobuf *b)
{
	b->next = spare;
	spare = b;
}

int iobufs_take(struct iobufs *set, struct ops_error *e)
{
	for (unsigned i = 0; i < IOBUFS_EACH; i++) {
		set->buf[i] = take();
		if (set->buf[i]) {
			set->buf[i]->busy = false;
			set->buf[i]->used = 0;
			continue;
		}
		while (i-- > 0)
			give(set->buf[i]);
		return ops_fail(e, OPS_EXHAUSTED, NULL,
				"%u transfers from and to volumes are under way; try again later",
				IOBUFS_MAX / IOBUFS_EACH);
	}
	return 0;
}

void iobufs_give(struct iobufs *set)
{
	for (unsigned i = 0; i < IOBUFS_EACH; i++)
		give(set->buf[i]);
}

struct iobuf *iobuf_of(struct blk_request *rq)
{
	return (struct iobuf *)((char *)rq - offsetof(struct iobuf, rq));
}

void iobuf_go(struct iobuf *b, struct blkdev *dev, enum blk_op op, uint32_t bytes,
	      void (*done)(struct blk_request *, enum blk_status), void *ctx)
{
	b->busy = true;
	b->seg.bytes = bytes;
	b->rq = (struct blk_request){.op = op,
				     .offset = b->offset,
				     .bytes = bytes,
				     .seg = &b->seg,
				     .n_segs = 1,
				     .done = done,
				     .ctx = ctx};
	blk_submit(dev, &b->rq);
}

int iobuf_fail(struct ops_error *e, enum blk_status status, const char *doing)
{
	static const char *const words[] = {
		[BLK_OK] = "nothing is wrong",
		[BLK_IO_ERROR] = "the drive says that it failed, or did not answer",
		[BLK_UNSUPPORTED] = "the drive cannot do that",
		[BLK_RANGE] = "that is beyond the end",
		[BLK_GONE] = "a drive of it is not there any more",
	};

	return ops_fail(e, OPS_IO, NULL, "%s: %s", doing,
			status <= BLK_GONE ? words[status] : "unknown error");
}
