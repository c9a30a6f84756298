/* SPDX-License-Identifier: BSD-2-Clause */
/* Block devices of memory (memdisk.h). */
#include "ctrl-kernel/storage/memdisk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/storage/request.h"

#define TURN_BYTES (4u << 20)

struct memdisk {
	struct blkdev dev;
	uint32_t mem;  /* [borrows] handle */
	uint8_t *data; /* [owns] mapping of all of it; NULL: nothing there */
	uint64_t pages;
	struct request_queue queue;
	struct loop_job turn;
};

static uint64_t pages_of(uint64_t bytes)
{
	return bytes / HV_PAGE_SIZE + (bytes % HV_PAGE_SIZE != 0);
}

/* Copies what is left of a read or write, at most max bytes -> how many. r->scratch: bytes done, segment, bytes of that. */
static uint64_t copy_some(const struct memdisk *m, struct blk_request *r, uint64_t max)
{
	uint64_t *done = &r->scratch[0], *seg = &r->scratch[1], *in = &r->scratch[2], sum = 0;

	while (*done < r->bytes && sum < max) {
		const struct blk_seg *s = &r->seg[*seg];
		uint64_t n = s->bytes - *in;
		uint8_t *here = m->data + r->offset + *done, *there = (uint8_t *)s->va + *in;

		n = n < max - sum ? n : max - sum;
		if (r->op == BLK_READ)
			memcpy(there, here, n);
		else
			memcpy(here, there, n);
		*done += n;
		*in += n;
		sum += n;
		if (*in == s->bytes) {
			(*seg)++;
			*in = 0;
		}
	}
	return sum;
}

static uint64_t zero_some(const struct memdisk *m, struct blk_request *r, uint64_t max)
{
	uint64_t n = r->bytes - r->scratch[0];

	n = n < max ? n : max;
	memset(m->data + r->offset + r->scratch[0], 0, n);
	r->scratch[0] += n;
	return n;
}

/* -> bytes moved; at the end of the request r->scratch[0] is r->bytes. */
static uint64_t work_some(const struct memdisk *m, struct blk_request *r, uint64_t max)
{
	switch (r->op) {
	case BLK_READ:
	case BLK_WRITE:
		return copy_some(m, r, max);
	case BLK_WRITE_ZEROES:
	case BLK_DISCARD: /* reads as zeros then */
		return zero_some(m, r, max);
	case BLK_FLUSH:
		break;
	}
	return 0;
}

static void turn(void *ctx)
{
	struct memdisk *m = ctx;
	struct blk_request *done = NULL, **tail = &done, *r;
	uint64_t left = TURN_BYTES;

	while (left && (r = request_first(&m->queue))) {
		if (r->status == BLK_OK)
			left -= work_some(m, r, left);
		if (r->status == BLK_OK && r->scratch[0] < r->bytes)
			break;
		request_take(&m->queue);
		request_count(&m->dev.stats, r);
		*tail = r;
		tail = &r->next;
		r->next = NULL;
	}
	if (request_first(&m->queue))
		loop_defer(&m->turn);
	request_done_all(done); /* the last one may close m */
}

static void submit(struct blkdev *b, struct blk_request *r)
{
	struct memdisk *m = b->priv;

	b->stats.in_flight++;
	r->status = request_check(b, r);
	r->scratch[0] = r->scratch[1] = r->scratch[2] = 0;
	request_put(&m->queue, r);
	loop_defer(&m->turn);
}

static const struct blkdev_ops memdisk_ops = {submit};

static int map_all(struct memdisk *m, uint64_t bytes)
{
	uint64_t pages = pages_of(bytes);
	uint32_t prot = m->dev.read_only ? HVP_READ : HVP_READ | HVP_WRITE;
	uint8_t *data = pages ? rt_mem_map(m->mem, 0, pages, prot) : NULL;

	if (pages && !data)
		return -HVE_NOMEM;
	rt_mem_unmap(m->data, m->pages);
	m->data = data;
	m->pages = pages;
	m->dev.bytes = (bytes + MEMDISK_SECTOR - 1) / MEMDISK_SECTOR * MEMDISK_SECTOR;
	return 0;
}

int memdisk_open(const char *name, uint32_t mem, uint64_t bytes, bool read_only,
		 struct blkdev **out)
{
	struct memdisk *m = calloc(1, sizeof(*m));

	if (!m)
		return -HVE_NOMEM;
	*m = (struct memdisk){.mem = mem, .turn = {.fn = turn, .ctx = m}};
	snprintf(m->dev.name, sizeof(m->dev.name), "%.23s", name);
	m->dev.sector_bytes = MEMDISK_SECTOR;
	m->dev.physical_bytes = MEMDISK_SECTOR;
	m->dev.read_only = read_only;
	m->dev.discard_max = read_only ? 0 : UINT64_MAX / 2 + 1;
	m->dev.ops = &memdisk_ops;
	m->dev.priv = m;
	if (map_all(m, bytes)) {
		free(m);
		return -HVE_NOMEM;
	}
	*out = &m->dev;
	return 0;
}

int memdisk_grow(struct blkdev *b, uint64_t bytes)
{
	int r = map_all(b->priv, bytes);

	if (r == 0 && b->changed)
		b->changed(b);
	return r;
}

void memdisk_close(struct blkdev *b)
{
	struct memdisk *m = b->priv;

	if (request_first(&m->queue) || m->turn.queued)
		rt_die("memdisk %s is closed with requests under way", b->name);
	rt_mem_unmap(m->data, m->pages);
	free(m);
}
