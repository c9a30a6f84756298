/* SPDX-License-Identifier: BSD-2-Clause */
/* See vdisk.h. */
#include "ctrl-kernel/backend/vdisk.h"

#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/backend/ioqueue.h"

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull
#define TURN_REQUESTS 128u
#define NO_MEMORY_NS 100000000ull /* until it is tried again */

struct source {
	unsigned refs; /* the disk's, and one for each request under way */
	struct blkdev *dev;
	void (*release)(struct blkdev *dev, void *ctx);
	void *ctx;
};

struct slot { /* a request under way */
	struct blk_request rq;
	struct vdisk *disk;    /* [borrows] */
	struct source *source; /* [owns] a reference */
	unsigned queue, number;
	unsigned begun;            /* guest_mem_begin() */
	uint64_t done;             /* bytes of it */
	struct io_request request; /* the copy */
	struct blk_seg seg[VDISK_SEGS];
	struct slot *next; /* free */
};

struct vdisk {
	struct vmio_dev dev;
	struct guest_mem *mem; /* [owns] a reference */
	bool read_only;
	unsigned n_queues, turn; /* turn: the queue that is looked at first */
	struct ioqueue queue[VMM_IO_QUEUES_MAX];
	struct source *source;     /* [owns] a reference; NULL: requests wait, or fail */
	bool empty;                /* they fail */
	struct slot *slots, *free; /* [owns]; [borrows] of it */
	unsigned n_busy;
	struct vdisk_limits limits;
	uint64_t bytes_at, ops_at; /* when what was taken so far is paid for */
	struct loop_timer timer;
	struct vdisk_stats stats;
};

/* ---- sources ---- */

static void source_put(struct source *s)
{
	if (--s->refs)
		return;
	s->release(s->dev, s->ctx);
	free(s);
}

/* ---- limits: a request may be taken when all before it are paid for, but for a burst ---- */

static void pay(uint64_t *at, uint64_t now, uint64_t amount, uint64_t per_s, uint64_t burst)
{
	uint64_t least = now > burst ? now - burst : 0, cost;

	if (per_s == 0)
		return;
	if (*at < least)
		*at = least;
	if (__builtin_mul_overflow(amount, NS_PER_S, &cost))
		cost = UINT64_MAX;
	cost /= per_s;
	if (__builtin_add_overflow(*at, cost, at))
		*at = UINT64_MAX;
}

/* False: not before the timer. */
static bool allowed(struct vdisk *d)
{
	uint64_t now, at = d->bytes_at > d->ops_at ? d->bytes_at : d->ops_at;

	if (at == 0)
		return true;
	now = rt_now();
	if (at <= now)
		return true;
	loop_timer_set(&d->timer, at - now);
	return false;
}

static void charge(struct vdisk *d, const struct io_request *r)
{
	uint64_t now, burst = (uint64_t)d->limits.burst_ms * NS_PER_MS;

	if (d->limits.bytes_per_s == 0 && d->limits.ops_per_s == 0)
		return;
	now = rt_now();
	pay(&d->ops_at, now, 1, d->limits.ops_per_s, burst);
	if (r->record.op == IO_READ || r->record.op == IO_WRITE)
		pay(&d->bytes_at, now, r->record.bytes, d->limits.bytes_per_s, burst);
}

/* ---- ends ---- */

static void disk_free(struct vdisk *d)
{
	if (d->source)
		source_put(d->source);
	guest_mem_put(d->mem);
	free(d->slots);
	vmio_left(&d->dev);
	free(d);
}

static void count(struct vdisk_stats *s, const struct io_record *r, uint32_t result)
{
	if (result != IO_OK)
		s->errors++;
	switch (r->op) {
	case IO_READ:
		s->reads++;
		s->read_bytes += result == IO_OK ? r->bytes : 0;
		break;
	case IO_WRITE:
		s->writes++;
		s->write_bytes += result == IO_OK ? r->bytes : 0;
		break;
	case IO_FLUSH:
		s->flushes++;
		break;
	case IO_DISCARD:
	case IO_WRITE_ZEROES:
		s->discards++;
		break;
	}
}

static void finish(struct vdisk *d, unsigned queue, unsigned number, uint32_t result)
{
	if (!d->dev.io)
		return; /* detached: the area is not ours any more */
	ioqueue_finish(&d->queue[queue], number, result);
	vmio_tell(d->dev.io);
}

static void slot_end(struct slot *s, uint32_t result)
{
	struct vdisk *d = s->disk;

	count(&d->stats, &s->request.record, result);
	finish(d, s->queue, s->number, result);
	source_put(s->source);
	s->source = NULL;
	s->next = d->free;
	d->free = s;
	d->n_busy--;
	guest_mem_end(d->mem, s->begun);
}

/* ---- a request ---- */

/* Adds a segment's pieces, *n so far. False: there is no room for more. A segment that is not RAM ends with *bad. */
static bool add(struct slot *s, const struct io_seg *seg, unsigned *n, bool *bad)
{
	uint32_t fits = (VDISK_SEGS - *n - 1) * HV_PAGE_SIZE; /* wherever its pages lie */
	struct guest_mem *mem = s->disk->mem;

	if (guest_mem_segs(mem, seg->gpa, seg->bytes, s->seg, VDISK_SEGS, n))
		return *n < VDISK_SEGS;
	if (fits >= seg->bytes ||
	    (fits && !guest_mem_segs(mem, seg->gpa, fits, s->seg, VDISK_SEGS, n)))
		*bad = true;
	return false;
}

/* Only whole sectors. */
static void trim(struct slot *s, unsigned *n, uint64_t *bytes, uint32_t sector)
{
	for (uint32_t over = (uint32_t)(*bytes % sector); over;) {
		struct blk_seg *last = &s->seg[*n - 1];
		uint32_t cut = last->bytes < over ? last->bytes : over;

		last->bytes -= cut;
		*bytes -= cut;
		over -= cut;
		*n -= last->bytes == 0;
	}
}

/* The pieces of the request's memory from `done` on, as many as there is room for, in whole sectors. -> their bytes; 0: not all
 * of it is RAM, or the pieces are too small. */
static uint64_t gather(struct slot *s, uint32_t sector)
{
	const struct io_request *r = &s->request;
	uint64_t skip = s->done, bytes = 0;
	bool room = true, bad = false;
	unsigned n = 0;

	for (unsigned i = 0; i < r->record.n_segs && room && !bad; i++) {
		struct io_seg seg = r->seg[i];

		if (skip >= seg.bytes) {
			skip -= seg.bytes;
			continue;
		}
		seg.gpa += skip;
		seg.bytes -= (uint32_t)skip;
		skip = 0;
		room = add(s, &seg, &n, &bad);
	}
	if (bad)
		return 0;
	for (unsigned i = 0; i < n; i++)
		bytes += s->seg[i].bytes;
	trim(s, &n, &bytes, sector);
	s->rq.n_segs = n;
	return bytes;
}

/* The next part. IO_OK: it is under way. */
static uint32_t go_on(struct slot *s)
{
	const struct io_record *r = &s->request.record;
	struct blkdev *dev = s->source->dev;

	s->rq.offset = r->offset + s->done;
	s->rq.bytes = r->bytes;
	s->rq.seg = NULL;
	s->rq.n_segs = 0;
	if (r->op == IO_READ || r->op == IO_WRITE) {
		s->rq.bytes = gather(s, dev->sector_bytes);
		s->rq.seg = s->seg;
		if (s->rq.bytes == 0)
			return IO_ERROR;
	}
	blk_submit(dev, &s->rq);
	return IO_OK;
}

static void begin_more(struct vdisk *d);

static void on_done(struct blk_request *rq, enum blk_status status)
{
	struct slot *s = rq->ctx;
	struct vdisk *d = s->disk;
	bool full = !d->free;
	uint32_t result = IO_OK;

	s->done += rq->bytes;
	if (status != BLK_OK)
		result = status == BLK_UNSUPPORTED ? IO_UNSUPPORTED : IO_ERROR;
	else if (s->done < s->request.record.bytes)
		result = go_on(s);
	if (result == IO_OK && s->done < s->request.record.bytes)
		return;
	slot_end(s, result);
	if (!d->dev.io && d->n_busy == 0)
		disk_free(d);
	else if (full)
		begin_more(d);
}

/* Of the copy. */
static uint32_t check(const struct vdisk *d, const struct io_request *request,
		      const struct blkdev *dev)
{
	const struct io_record *r = &request->record;
	bool data = r->op == IO_READ || r->op == IO_WRITE;

	if (r->op > IO_WRITE_ZEROES)
		return IO_UNSUPPORTED;
	if (r->op == IO_FLUSH)
		return r->offset || r->bytes || r->n_segs ? IO_ERROR : IO_OK;
	if (r->op != IO_READ && (d->read_only || dev->read_only))
		return IO_ERROR;
	if (data ? r->n_segs == 0 || r->n_segs > IO_DISK_SEGS : r->n_segs != 0)
		return IO_ERROR;
	if (!data && dev->discard_max == 0)
		return IO_UNSUPPORTED;
	if (r->bytes == 0 || r->bytes % dev->sector_bytes || r->offset % dev->sector_bytes ||
	    r->bytes > dev->bytes || r->offset > dev->bytes - r->bytes)
		return IO_ERROR;
	return data || r->bytes <= dev->discard_max ? IO_OK : IO_ERROR;
}

static void begin(struct vdisk *d, struct slot *s)
{
	static const enum blk_op ops[] = {[IO_READ] = BLK_READ,
					  [IO_WRITE] = BLK_WRITE,
					  [IO_FLUSH] = BLK_FLUSH,
					  [IO_DISCARD] = BLK_DISCARD,
					  [IO_WRITE_ZEROES] = BLK_WRITE_ZEROES};
	struct source *source = d->source;
	uint32_t result;

	s->source = source;
	source->refs++;
	d->n_busy++;
	s->begun = guest_mem_begin(d->mem);
	s->done = 0;
	charge(d, &s->request);
	result = check(d, &s->request, source->dev);
	if (result == IO_OK) {
		s->rq.op = ops[s->request.record.op];
		result = go_on(s);
	}
	if (result != IO_OK)
		slot_end(s, result);
}

/* ---- taking ---- */

/* One from the first queue that has one, from the queue behind the last one on. */
static bool take_one(struct vdisk *d, struct slot *s)
{
	for (unsigned i = 0; i < d->n_queues; i++) {
		unsigned queue = (d->turn + i) % d->n_queues;

		if (ioqueue_next(&d->queue[queue], &s->number, &s->request)) {
			s->queue = queue;
			d->turn = queue + 1;
			return true;
		}
	}
	return false;
}

static bool may_begin(struct vdisk *d)
{
	return d->dev.io && !vmio_held(d->dev.io) && d->source && d->free && allowed(d);
}

/* Its memory is there, as long as it is under way. False: there is none for what the guest had given back; it waits. What is
 * no memory at all check() and gather() find. */
static bool memory_there(struct vdisk *d, const struct io_request *r)
{
	if (r->record.op != IO_READ && r->record.op != IO_WRITE)
		return true;
	for (unsigned i = 0; r->record.n_segs <= IO_DISK_SEGS && i < r->record.n_segs; i++)
		if (guest_mem_need(d->mem, r->seg[i].gpa, r->seg[i].bytes) == -HVE_NOMEM)
			return false;
	return true;
}

/* A vmm on another CPU can submit as fast as wrong requests are answered: others have their turn. */
static void begin_more(struct vdisk *d)
{
	for (unsigned n = 0; may_begin(d); n++) {
		struct slot *s = d->free;

		if (n == TURN_REQUESTS) {
			loop_timer_set(&d->timer, 0);
			return;
		}
		if (!take_one(d, s))
			return;
		if (!memory_there(d, &s->request)) {
			ioqueue_untake(&d->queue[s->queue], s->number);
			loop_timer_set(&d->timer, NO_MEMORY_NS);
			return;
		}
		d->free = s->next;
		begin(d, s);
	}
}

/* Without doing any of it. */
static void refuse_all(struct vdisk *d, unsigned queue)
{
	static struct io_request unused;
	unsigned from = 0, number;

	while (ioqueue_take(&d->queue[queue], &from, &number, &unused)) {
		d->stats.errors++;
		finish(d, queue, number, IO_ERROR);
	}
}

static void look(struct vmio_dev *dev)
{
	struct vdisk *d = (struct vdisk *)dev;

	for (unsigned i = 0; i < d->n_queues; i++)
		if ((d->empty && !d->source) || ioqueue_cancelled(&d->queue[i]))
			refuse_all(d, i);
	begin_more(d);
}

static bool busy(const struct vmio_dev *dev)
{
	return ((const struct vdisk *)dev)->n_busy > 0;
}

static void detach(struct vmio_dev *dev)
{
	struct vdisk *d = (struct vdisk *)dev;

	loop_timer_cancel(&d->timer);
	if (d->n_busy == 0)
		disk_free(d);
}

static void on_timer(void *ctx)
{
	begin_more(ctx);
}

/* ---- public ---- */

static const struct vmio_dev_ops ops = {.look = look, .busy = busy, .detach = detach};

struct vdisk *vdisk_make(struct vmio *io, const struct vmm_disk *place,
			 const struct vdisk_limits *limits)
{
	struct vdisk *d = calloc(1, sizeof(*d));

	if (d)
		d->slots = calloc(VDISK_SLOTS, sizeof(*d->slots));
	if (!d || !d->slots) {
		free(d);
		return NULL;
	}
	for (unsigned i = 0; i < VDISK_SLOTS; i++) {
		struct slot *s = &d->slots[i];

		s->disk = d;
		s->rq.done = on_done;
		s->rq.ctx = s;
		s->next = d->free;
		d->free = s;
	}
	d->dev.ops = &ops;
	d->mem = vmio_mem(io);
	guest_mem_get(d->mem);
	d->read_only = place->flags & VMM_DISK_READ_ONLY;
	d->n_queues = place->queues;
	d->limits = *limits;
	loop_timer_init(&d->timer, on_timer, d);
	for (unsigned i = 0; i < d->n_queues; i++)
		ioqueue_attach(&d->queue[i],
			       vmio_page(io, place->area + i * (uint32_t)IO_DISK_PAGES),
			       IO_DISK_ENTRIES, IO_DISK_RECORD);
	vmio_add(io, &d->dev);
	return d;
}

bool vdisk_source(struct vdisk *d, struct blkdev *dev,
		  void (*release)(struct blkdev *dev, void *ctx), void *ctx)
{
	struct source *s = dev ? malloc(sizeof(*s)) : NULL;

	if (dev && !s)
		return false;
	if (s)
		*s = (struct source){1, dev, release, ctx};
	if (d->source)
		source_put(d->source);
	d->source = s;
	d->empty = !s;
	if (!vmio_held(d->dev.io))
		look(&d->dev);
	return true;
}

void vdisk_end(struct vdisk *d)
{
	vmio_remove(d->dev.io, &d->dev);
}

void vdisk_stats(const struct vdisk *d, struct vdisk_stats *out)
{
	*out = d->stats;
	out->in_flight = d->n_busy;
}
