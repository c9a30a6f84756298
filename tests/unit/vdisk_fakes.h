/* SPDX-License-Identifier: BSD-2-Clause */
/* Around backend/vdisk.c on the host: a loop, hypercalls that post events, guest memory in pieces of a page that never lie
 * beside each other, and a device that keeps what it is given until the test says how it ended. */
#ifndef TESTS_VDISK_FAKES_H
#define TESTS_VDISK_FAKES_H

#include <stdlib.h>
#include <string.h>

#include "ctrl-kernel/backend/vdisk.h"
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/vmm/io_area.h"

#define RAM_BYTES 0x100000u
#define QUEUES 2u
#define DISK_BYTES (1u << 20)

static uint8_t ram[RAM_BYTES];
static uint8_t area[QUEUES * IO_DISK_PAGES * 4096] __attribute__((aligned(4096)));
static uint64_t now_ns;
static unsigned n_posts, mem_refs;
static struct loop_job *jobs;
static struct loop_timer *timer;
static loop_fn event_fn;
static void *event_ctx;

struct guest_mem {
	int unused;
};
static struct guest_mem the_mem;

uint64_t rt_now(void)
{
	return now_ns;
}

struct hv_result hv_raw(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			uint64_t f)
{
	(void)a, (void)c, (void)d, (void)e, (void)f;
	if (n != HVC_EVENT_POST || b != 1ull << VMM_EVENT_IO)
		abort();
	n_posts++;
	return (struct hv_result){0, 0};
}

void rt_die(const char *format, ...)
{
	(void)format;
	abort();
}

/* The first group's: the VM that is made first is in it. */
int loop_bit_alloc(loop_fn fn, void *ctx)
{
	if (!event_fn) {
		event_fn = fn;
		event_ctx = ctx;
	}
	return 5;
}

void loop_last_call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	(void)hv_raw(number, a, b, c, d, 0, 0);
}

void loop_defer_last(struct loop_job *j)
{
	if (j->queued)
		return;
	j->queued = true;
	j->next = jobs;
	jobs = j;
}

void loop_timer_init(struct loop_timer *t, loop_fn fn, void *ctx)
{
	*t = (struct loop_timer){.fn = fn, .ctx = ctx};
}

void loop_timer_cancel(struct loop_timer *t)
{
	t->armed = false;
	if (timer == t)
		timer = NULL;
}

void loop_timer_set(struct loop_timer *t, uint64_t delay_ns)
{
	t->deadline_ns = now_ns + delay_ns;
	t->armed = true;
	timer = t;
}

static inline void turn_end(void)
{
	while (jobs) {
		struct loop_job *j = jobs;

		jobs = j->next;
		j->queued = false;
		j->fn(j->ctx);
	}
}

static inline void advance(uint64_t ns)
{
	now_ns += ns;
	while (timer && timer->deadline_ns <= now_ns) {
		struct loop_timer *t = timer;

		loop_timer_cancel(t);
		t->fn(t->ctx);
	}
}

void guest_mem_get(struct guest_mem *g)
{
	(void)g;
	mem_refs++;
}

void guest_mem_put(struct guest_mem *g)
{
	(void)g;
	if (mem_refs-- == 0)
		abort();
}

static bool no_memory; /* for what the guest gave back */
static unsigned n_begun;

int guest_mem_need(struct guest_mem *g, uint64_t gpa, uint64_t bytes)
{
	(void)g, (void)gpa, (void)bytes;
	return no_memory ? -HVE_NOMEM : 0;
}

unsigned guest_mem_begin(struct guest_mem *g)
{
	(void)g;
	return n_begun++ % 2;
}

void guest_mem_end(struct guest_mem *g, unsigned begun)
{
	(void)g;
	if (begun > 1 || n_begun == 0)
		abort();
}

bool guest_mem_segs(struct guest_mem *g, uint64_t gpa, uint32_t bytes, struct blk_seg *out,
		    unsigned max, unsigned *n)
{
	unsigned at = *n;

	(void)g;
	if (bytes == 0 || gpa > RAM_BYTES || bytes > RAM_BYTES - gpa)
		return false;
	while (bytes) {
		uint32_t part = 4096 - (uint32_t)(gpa % 4096);

		if (part > bytes)
			part = bytes;
		if (at == max)
			return false;
		out[at++] = (struct blk_seg){
			.va = ram + gpa, .hpa = gpa / 4096 * 8192 + gpa % 4096, .bytes = part};
		gpa += part;
		bytes -= part;
	}
	*n = at;
	return true;
}

/* ---- the device ---- */

static struct blk_request *pending[4 * VDISK_SLOTS];
static unsigned n_pending, n_released;

static void device_submit(struct blkdev *b, struct blk_request *r)
{
	uint64_t sum = 0;

	if (n_pending == 4 * VDISK_SLOTS)
		abort();
	for (unsigned i = 0; i < r->n_segs; i++) {
		uint8_t *va = r->seg[i].va;

		if (va < ram || r->seg[i].bytes == 0 || va + r->seg[i].bytes > ram + RAM_BYTES)
			abort();
		sum += r->seg[i].bytes;
	}
	if ((r->op == BLK_READ || r->op == BLK_WRITE) && (sum != r->bytes || sum == 0))
		abort();
	if (r->offset % b->sector_bytes || r->bytes % b->sector_bytes || r->bytes > b->bytes ||
	    r->offset > b->bytes - r->bytes ||
	    (b->read_only && r->op != BLK_READ && r->op != BLK_FLUSH))
		abort();
	pending[n_pending++] = r;
}

static const struct blkdev_ops device_ops = {device_submit};
static struct blkdev device = {.bytes = DISK_BYTES,
			       .sector_bytes = 512,
			       .physical_bytes = 512,
			       .discard_max = 65536,
			       .ops = &device_ops};

static void released(struct blkdev *dev, void *ctx)
{
	(void)ctx;
	if (dev->ops != &device_ops)
		abort();
	n_released++;
}

/* The request that it was given i-th of those that are left. */
static inline void device_ends(unsigned i, enum blk_status status)
{
	struct blk_request *r = pending[i];

	n_pending--;
	memmove(&pending[i], &pending[i + 1], (n_pending - i) * sizeof(pending[0]));
	r->done(r, status);
}

/* ---- a VM with one disk ---- */

static struct vmio *io;
static struct vdisk *disk;

static inline void disk_open(uint32_t flags, const struct vdisk_limits *limits)
{
	static const struct vdisk_limits none;
	const struct vmm_disk place = {.queues = QUEUES, .flags = flags};

	mem_refs = 1;
	io = vmio_make();
	vmio_open(io, area, &the_mem);
	vmio_vmm(io, 3);
	disk = vdisk_make(io, &place, limits ? limits : &none);
}

static inline struct io_queue *queue_at(unsigned q)
{
	return (struct io_queue *)(void *)(area + (size_t)q * IO_DISK_PAGES * 4096);
}

static inline void ring(void)
{
	vmio_look(io);
	turn_end();
}

#endif
