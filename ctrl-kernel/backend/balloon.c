/* SPDX-License-Identifier: BSD-2-Clause */
/* See balloon.h. */
#include "ctrl-kernel/backend/balloon.h"

#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/rt/hvcall.h"

#define BUSY_NS 10000000ull /* a vmm that has died is being taken apart */
#define BUSY_TRIES 500u

struct balloon {
	struct vmio_dev dev;       /* first */
	struct io_balloon *shared; /* [borrows] */
	struct guest_mem *mem;     /* [owns] a reference */
	uint32_t done;             /* as we wrote it last */
	bool busy;                 /* a request is being carried out */
	uint32_t number;           /* it */
	unsigned n, tries;
	struct guest_mem_place at;
	uint64_t range[IO_BALLOON_RANGES]; /* of the object: a copy, checked */
	struct loop_job turn;
	struct loop_timer again;
};

static void look(struct vmio_dev *dev);

static void finish(struct balloon *b)
{
	b->busy = false;
	b->done = b->number;
	__atomic_store_n(&b->shared->done, b->done, __ATOMIC_RELEASE);
	vmio_tell(b->dev.io);
	if (!vmio_held(b->dev.io))
		look(&b->dev);
}

static void give_up(struct balloon *b)
{
	for (unsigned i = b->at.i; i < b->n; i++)
		guest_mem_stay(b->mem, b->range[i]);
	b->at.i = b->n;
}

static void balloon_free(struct balloon *b)
{
	guest_mem_put(b->mem);
	vmio_left(&b->dev);
	free(b);
}

/* A step each turn of the loop: hv stops the VM for it. */
static void turn(void *ctx)
{
	struct balloon *b = ctx;
	int r;

	if (!b->dev.io) {
		balloon_free(b);
		return;
	}
	r = guest_mem_release(b->mem, b->range, b->n, &b->at);
	if (r && ++b->tries < BUSY_TRIES) {
		loop_timer_set(&b->again, BUSY_NS);
		return;
	}
	if (r)
		give_up(b);
	if (b->at.i == b->n)
		finish(b);
	else
		loop_defer(&b->turn);
}

static void go_on(void *ctx)
{
	struct balloon *b = ctx;

	loop_defer(&b->turn);
}

/* Copied once; what is not this VM's memory is left out. */
static void take(struct balloon *b)
{
	uint32_t n = b->shared->n;

	if (n > IO_BALLOON_RANGES)
		n = IO_BALLOON_RANGES;
	b->n = b->tries = 0;
	b->at = (struct guest_mem_place){0, 0};
	for (uint32_t i = 0; i < n; i++) {
		uint64_t word = __atomic_load_n(&b->shared->range[i], __ATOMIC_RELAXED);
		uint64_t range = guest_mem_range(b->mem, word);

		if (range)
			b->range[b->n++] = range;
	}
}

static void look(struct vmio_dev *dev)
{
	struct balloon *b = (struct balloon *)dev;
	uint32_t asked = __atomic_load_n(&b->shared->asked, __ATOMIC_ACQUIRE);

	if (b->busy || asked == b->done)
		return;
	b->busy = true;
	b->number = asked;
	take(b);
	for (unsigned i = 0; i < b->n; i++)
		guest_mem_leave(b->mem, b->range[i]);
	if (guest_mem_quiet(b->mem, go_on, b))
		go_on(b);
}

static bool busy(const struct vmio_dev *dev)
{
	return ((const struct balloon *)dev)->busy;
}

static void detach(struct vmio_dev *dev)
{
	struct balloon *b = (struct balloon *)dev;

	loop_timer_cancel(&b->again);
	guest_mem_quiet_cancel(b->mem);
	if (!b->turn.queued)
		balloon_free(b);
}

static const struct vmio_dev_ops ops = {.look = look, .busy = busy, .detach = detach};

struct balloon *balloon_make(struct vmio *io)
{
	struct balloon *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->dev.ops = &ops;
	b->shared = vmio_page(io, 0);
	b->mem = vmio_mem(io);
	guest_mem_get(b->mem);
	b->done = __atomic_load_n(&b->shared->done, __ATOMIC_RELAXED);
	b->turn = (struct loop_job){.fn = turn, .ctx = b};
	loop_timer_init(&b->again, turn, b);
	vmio_add(io, &b->dev);
	vmio_tell(io); /* what the instance before had done and not told of */
	return b;
}

void balloon_stats(const struct balloon *b, struct balloon_stats *out)
{
	out->actual_pages = b->shared->actual;
	out->told = b->shared->stats_ns != 0;
	memcpy(out->stats, b->shared->stats, sizeof(out->stats));
}
