/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What block devices without hardware share: checks of a request, queues of them, their counts.
 */
#ifndef STORAGE_REQUEST_H
#define STORAGE_REQUEST_H

#include "drivers/blkdev.h"

struct request_queue { /* first in, first out, by blk_request.next; all zero: empty */
	struct blk_request *first, *last; /* [borrows] */
};

void request_put(struct request_queue *q, struct blk_request *r);
struct blk_request *request_first(const struct request_queue *q);
struct blk_request *request_take(struct request_queue *q); /* NULL: empty */
/* What is wrong with it for this device; BLK_OK: nothing. */
enum blk_status request_check(const struct blkdev *b, const struct blk_request *r);
/* It has ended with r->status: into the counts, and no more in flight. */
void request_count(struct blk_stats *s, const struct blk_request *r);
/* Calls done() of a list; after the last of them nothing is looked at any more. */
void request_done_all(struct blk_request *list);

#endif
