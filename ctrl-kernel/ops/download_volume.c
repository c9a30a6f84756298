/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes of a volume to the outside (transfer.h). The buffers are read in turn, and taken in the same turn. */
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/ops/iobuf.h"
#include "ctrl-kernel/ops/pools.h"
#include "ctrl-kernel/ops/transfer.h"
#include "ctrl-kernel/storage/volume.h"

struct download {
	struct blkdev *dev; /* [owns] open */
	struct iobufs bufs;
	unsigned first; /* the buffer that is taken from */
	uint64_t at;    /* byte of the volume that is taken next */
	uint64_t next;  /* that is read next, a sector's first */
	uint64_t end;   /* that is wanted */
	unsigned under_way;
	bool failed, ended, waits;
	loop_fn ready;
	void *ctx;
};

static void download_free(struct download *d)
{
	iobufs_give(&d->bufs);
	volume_close(d->dev);
	free(d);
}

static void read_done(struct blk_request *rq, enum blk_status status)
{
	struct download *d = rq->ctx;
	struct iobuf *b = iobuf_of(rq);

	d->under_way--;
	b->busy = false;
	if (status == BLK_OK)
		b->used = (uint32_t)b->seg.bytes;
	else
		d->failed = true;
	if (d->ended) {
		if (d->under_way == 0)
			download_free(d);
		return;
	}
	if (d->waits && (d->failed || !d->bufs.buf[d->first]->busy)) {
		d->waits = false;
		d->ready(d->ctx);
	}
}

static void read_ahead(struct download *d, struct iobuf *b)
{
	uint32_t sector = d->dev->sector_bytes;
	uint64_t left = d->end > d->next ? d->end - d->next : 0;
	uint32_t n = left < IOBUF_BYTES ? (uint32_t)left : IOBUF_BYTES;

	b->used = 0;
	if (n == 0)
		return;
	n = (n + sector - 1) / sector * sector;
	b->offset = d->next;
	d->next += n;
	d->under_way++;
	iobuf_go(b, d->dev, BLK_READ, n, read_done, d);
}

int download_begin(const char *pool, const char *name, uint64_t from, uint64_t end, loop_fn ready,
		   void *ctx, struct download **out, struct ops_error *e)
{
	struct download *d = calloc(1, sizeof(*d));

	if (!d)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	if (volume_use(pool, name, false, &d->dev, e)) {
		free(d);
		return -1;
	}
	if (iobufs_take(&d->bufs, e)) {
		volume_close(d->dev);
		free(d);
		return -1;
	}
	d->at = from;
	d->end = end < d->dev->bytes ? end : d->dev->bytes;
	d->next = from - from % d->dev->sector_bytes;
	d->ready = ready;
	d->ctx = ctx;
	for (unsigned i = 0; i < IOBUFS_EACH; i++)
		read_ahead(d, d->bufs.buf[i]);
	*out = d;
	return 0;
}

size_t download_read(struct download *d, void *to, size_t max, bool *failed)
{
	size_t sum = 0;

	*failed = d->failed;
	while (!d->failed && sum < max && d->at < d->end) {
		struct iobuf *b = d->bufs.buf[d->first];
		uint64_t left = b->offset + b->used - d->at;
		size_t n = max - sum;

		if (b->busy || b->used == 0)
			break;
		left = left < d->end - d->at ? left : d->end - d->at;
		n = n < left ? n : (size_t)left;
		memcpy((uint8_t *)to + sum, b->data + (d->at - b->offset), n);
		sum += n;
		d->at += n;
		if (d->at == b->offset + b->used) {
			d->first = (d->first + 1) % IOBUFS_EACH;
			read_ahead(d, b);
		}
	}
	d->waits = sum == 0 && !d->failed;
	return sum;
}

void download_end(struct download *d)
{
	d->ended = true;
	if (d->under_way == 0)
		download_free(d);
}
