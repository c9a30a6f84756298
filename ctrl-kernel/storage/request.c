/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests of block devices without hardware (request.h). */
#include "ctrl-kernel/storage/request.h"

void request_put(struct request_queue *q, struct blk_request *r)
{
	r->next = NULL;
	if (q->first)
		q->last->next = r;
	else
		q->first = r;
	q->last = r;
}

struct blk_request *request_first(const struct request_queue *q)
{
	return q->first;
}

struct blk_request *request_take(struct request_queue *q)
{
	struct blk_request *r = q->first;

	if (r)
		q->first = r->next;
	return r;
}

static bool segments_fit(const struct blk_request *r)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < r->n_segs; i++)
		sum += r->seg[i].bytes;
	return sum == r->bytes;
}

enum blk_status request_check(const struct blkdev *b, const struct blk_request *r)
{
	if (b->gone)
		return BLK_GONE;
	if (r->op > BLK_WRITE_ZEROES || (r->op != BLK_READ && r->op != BLK_FLUSH && b->read_only))
		return BLK_UNSUPPORTED;
	if (r->op == BLK_FLUSH)
		return BLK_OK;
	if (r->offset % b->sector_bytes || r->bytes % b->sector_bytes || r->bytes == 0 ||
	    r->bytes > b->bytes || r->offset > b->bytes - r->bytes)
		return BLK_RANGE;
	if ((r->op == BLK_READ || r->op == BLK_WRITE) && !segments_fit(r))
		return BLK_RANGE;
	return BLK_OK;
}

void request_count(struct blk_stats *s, const struct blk_request *r)
{
	s->in_flight--;
	s->errors += r->status == BLK_IO_ERROR;
	if (r->status != BLK_OK)
		return;
	switch (r->op) {
	case BLK_READ:
		s->reads++;
		s->read_bytes += r->bytes;
		break;
	case BLK_WRITE:
		s->writes++;
		s->write_bytes += r->bytes;
		break;
	case BLK_FLUSH:
		s->flushes++;
		break;
	case BLK_DISCARD:
	case BLK_WRITE_ZEROES:
		s->discards++;
		break;
	}
}

void request_done_all(struct blk_request *list)
{
	while (list) {
		struct blk_request *r = list;

		list = r->next;
		r->done(r, r->status);
	}
}
