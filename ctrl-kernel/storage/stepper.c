/* SPDX-License-Identifier: BSD-2-Clause */
/* See stepper.h. */
#include "ctrl-kernel/storage/stepper.h"

#include <string.h>

#define BUFFERS_MAX 4u
#define BUFFER_ALIGN 4096u

struct stepper_buffer {
	struct dma mem;
	bool taken;
};

static struct stepper_buffer buffers[BUFFERS_MAX];
static struct stepper *waiting; /* [borrows] first come, first served */

/* NULL: all are taken, or (*none) there is no memory for the first of them. */
static struct stepper_buffer *buffer_take(bool *none)
{
	*none = true;
	for (unsigned i = 0; i < BUFFERS_MAX; i++) {
		struct stepper_buffer *b = &buffers[i];

		if (b->taken) {
			*none = false;
			continue;
		}
		if (!b->mem.va && dma_alloc(&b->mem, STEP_BYTES_MAX, BUFFER_ALIGN) != 0)
			return NULL;
		b->taken = true;
		return b;
	}
	return NULL;
}

static void buffer_give(struct stepper *s)
{
	struct stepper *first = waiting;

	if (!s->buffer)
		return;
	s->buffer->taken = false;
	s->buffer = NULL;
	if (!first)
		return;
	waiting = first->next;
	loop_defer(&first->job);
}

static void step_next(struct stepper *s);

static void step_done(struct blk_request *r, enum blk_status status)
{
	struct stepper *s = r->ctx;

	if (status == BLK_OK && s->step.op == STEP_READ)
		memcpy(s->step.buf, s->buffer->mem.va, s->step.bytes);
	s->ops->told(s->work, status == BLK_OK);
	step_next(s);
}

static void step_submit(struct stepper *s, struct blkdev *b)
{
	static const enum blk_op ops[] = {
		[STEP_READ] = BLK_READ, [STEP_WRITE] = BLK_WRITE, [STEP_FLUSH] = BLK_FLUSH};

	s->rq = (struct blk_request){.op = ops[s->step.op], .done = step_done, .ctx = s};
	if (s->step.op != STEP_FLUSH) {
		s->seg = (struct blk_seg){
			.va = s->buffer->mem.va, .hpa = s->buffer->mem.hpa, .bytes = s->step.bytes};
		s->rq.offset = s->step.offset;
		s->rq.bytes = s->step.bytes;
		s->rq.seg = &s->seg;
		s->rq.n_segs = 1;
	}
	if (s->step.op == STEP_WRITE)
		memcpy(s->buffer->mem.va, s->step.buf, s->step.bytes);
	blk_submit(b, &s->rq);
}

static void step_next(struct stepper *s)
{
	struct blkdev *b;

	s->ops->next(s->work, &s->step);
	if (s->step.op == STEP_END) {
		buffer_give(s);
		s->end(s);
		return;
	}
	b = s->step.disk < s->n_disks ? s->disks[s->step.disk] : NULL;
	if (b && s->buffer && s->step.bytes <= STEP_BYTES_MAX) {
		step_submit(s, b);
		return;
	}
	s->ops->told(s->work, false);
	loop_defer(&s->job);
}

static void wait_for_buffer(struct stepper *s)
{
	struct stepper **at = &waiting;

	while (*at)
		at = &(*at)->next;
	s->next = NULL;
	*at = s;
}

static void turn(void *ctx)
{
	struct stepper *s = ctx;
	bool none = false;

	if (!s->buffer)
		s->buffer = buffer_take(&none);
	if (s->buffer || none)
		step_next(s); /* without a buffer each step fails */
	else
		wait_for_buffer(s);
}

void stepper_run(struct stepper *s)
{
	s->buffer = NULL;
	s->job = (struct loop_job){.fn = turn, .ctx = s};
	loop_defer(&s->job);
}
