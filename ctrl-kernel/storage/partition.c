/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A partition as a block device: requests go on to the drive with another offset, as they are otherwise (places.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/storage/places.h"
#include "ctrl-kernel/storage/request.h"

#define PARTITIONS_MAX 4096u /* ever seen */

struct partition_dev {
	struct blkdev dev;
	struct blkdev *drive; /* [borrows] */
	unsigned number;
	uint64_t start;
	struct request_queue refused;
	struct loop_job refuse;
	struct partition_dev *next;
};

static struct partition_dev *all; /* [owns] */
static unsigned n_all;

static void refuse(void *ctx)
{
	struct partition_dev *p = ctx;
	struct blk_request *list = p->refused.first;

	p->refused.first = NULL;
	request_done_all(list);
}

static void submit(struct blkdev *b, struct blk_request *r)
{
	struct partition_dev *p = b->priv;

	b->gone = p->drive->gone;
	r->status = request_check(b, r);
	if (r->status == BLK_OK) {
		r->offset += p->start;
		blk_submit(p->drive, r);
		return;
	}
	request_put(&p->refused, r);
	loop_defer(&p->refuse);
}

static const struct blkdev_ops partition_ops = {submit};

static void take_over(struct partition_dev *p)
{
	const struct blkdev *d = p->drive;

	p->dev.sector_bytes = d->sector_bytes;
	p->dev.physical_bytes = d->physical_bytes;
	p->dev.discard_max = d->discard_max;
	p->dev.read_only = d->read_only;
	p->dev.write_cache = d->write_cache;
	p->dev.gone = d->gone;
}

struct blkdev *partition_dev(struct blkdev *drive, unsigned number, uint64_t start, uint64_t bytes)
{
	struct partition_dev *p = all;

	while (p && (p->drive != drive || p->number != number || p->start != start ||
		     p->dev.bytes != bytes))
		p = p->next;
	if (!p) {
		if (n_all == PARTITIONS_MAX)
			return NULL;
		p = calloc(1, sizeof(*p));
		if (!p)
			return NULL;
		*p = (struct partition_dev){.drive = drive,
					    .number = number,
					    .start = start,
					    .refuse = {.fn = refuse, .ctx = p},
					    .next = all};
		snprintf(p->dev.name, sizeof(p->dev.name), "%.18sp%u", drive->name, number % 1000);
		p->dev.bytes = bytes;
		p->dev.ops = &partition_ops;
		p->dev.priv = p;
		all = p;
		n_all++;
	}
	take_over(p);
	return &p->dev;
}
