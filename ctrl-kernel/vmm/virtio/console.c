/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-console (virtio 1.2, 5.3): one port, no features. What the guest writes goes into the ring that the control kernel
 * reads (console_area.h), and is completed at once; a flood overwrites what is old, and nobody waits. Buffers to read into are
 * taken when there is something for them.
 */
#include "ctrl-kernel/vmm/virtio/console.h"
#include "ctrl-kernel/vmm/console_area.h"

#include <string.h>

enum queue { RECEIVE = 0, TRANSMIT = 1, QUEUES = 2 };

#define POSITION_BITS 48u

static struct vq_chain chain; /* being filled: too large for a stack */

static struct console_area *area_of(const struct virtio_device *d)
{
	return d->vm->console;
}

static uint16_t used_index(const struct virtio_device *d, enum queue queue)
{
	return (uint16_t)(d->s->queue[queue].log >> 16);
}

static uint64_t mark_of(uint16_t used, uint64_t position)
{
	return used | position << 16;
}

/* Bytes from the mark's position on; `position` is behind it. */
static uint64_t since(uint64_t mark, uint64_t position)
{
	return (position - (mark >> 16)) & ((1ull << POSITION_BITS) - 1);
}

static void set(uint64_t *at, uint64_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

/* ---- out ---- */

/* A piece that neither reader nor ring's end cut. */
static uint32_t piece(uint64_t head, uint32_t left)
{
	uint32_t n = CONSOLE_OUT - (uint32_t)(head % CONSOLE_OUT);

	if (n > CONSOLE_PIECE)
		n = CONSOLE_PIECE;
	return n < left ? n : left;
}

/* Of a chain that is larger than the ring the beginning; no driver has such. done: bytes that are in the ring already. */
static void transmit_from(struct virtio_device *d, const struct vq_chain *c, uint32_t done)
{
	struct console_area *a = area_of(d);
	uint32_t bytes = c->out_bytes < CONSOLE_OUT ? c->out_bytes : CONSOLE_OUT;
	uint64_t head = a->out_head;

	while (done < bytes) {
		uint32_t n = piece(head, bytes - done);

		(void)vq_copy_from(&d->queue[TRANSMIT], c, done, &a->out[head % CONSOLE_OUT], n);
		head += n;
		done += n;
		set(&a->out_head, head);
	}
	virtio_complete(d, TRANSMIT, c->head, 0);
}

static void transmit(struct virtio_device *d, unsigned queue, const struct vq_chain *c)
{
	struct console_area *a = area_of(d);

	(void)queue;
	set(&a->out_mark, mark_of(used_index(d, TRANSMIT), a->out_head));
	transmit_from(d, c, 0);
}

static void transmit_again(struct virtio_device *d, const struct vq_chain *c)
{
	struct console_area *a = area_of(d);
	uint64_t mark = a->out_mark, done = since(mark, a->out_head);

	if (mark == CONSOLE_MARK_NONE || (uint16_t)mark != used_index(d, TRANSMIT) ||
	    done > CONSOLE_OUT)
		transmit(d, TRANSMIT, c);
	else
		transmit_from(d, c, (uint32_t)done);
}

/* ---- in ---- */

static uint32_t waiting(struct console_area *a)
{
	uint64_t n = __atomic_load_n(&a->in_head, __ATOMIC_ACQUIRE) - a->in_tail;

	return n <= CONSOLE_IN ? (uint32_t)n
			       : 0; /* more than there can be: of a ring that was damaged */
}

static void ring_read(const struct console_area *a, const struct virtqueue *q,
		      const struct vq_chain *c, uint32_t bytes)
{
	uint32_t at = (uint32_t)(a->in_tail % CONSOLE_IN);
	uint32_t first = bytes < CONSOLE_IN - at ? bytes : CONSOLE_IN - at;

	(void)vq_copy_to(q, c, 0, &a->in[at], first);
	if (first < bytes)
		(void)vq_copy_to(q, c, first, a->in, bytes - first);
}

static void receive_into(struct virtio_device *d, const struct vq_chain *c)
{
	struct console_area *a = area_of(d);
	uint32_t there = waiting(a), bytes = c->in_bytes < there ? c->in_bytes : there;

	set(&a->in_mark, mark_of(used_index(d, RECEIVE), a->in_tail));
	set(&a->in_bytes, bytes); /* behind the mark: that of the chain before goes with its own */
	ring_read(a, &d->queue[RECEIVE], c, bytes);
	virtio_complete(d, RECEIVE, c->head, bytes);
	set(&a->in_tail, a->in_tail + bytes);
}

/* The instance before died with the guest's buffer completed and the ring as it was? */
static void receive_settle(struct virtio_device *d)
{
	struct console_area *a = area_of(d);
	uint64_t mark = a->in_mark;

	if (mark != CONSOLE_MARK_NONE && used_index(d, RECEIVE) == (uint16_t)(mark + 1) &&
	    since(mark, a->in_tail) == 0 && a->in_bytes <= waiting(a))
		set(&a->in_tail, a->in_tail + a->in_bytes);
}

static bool receive(struct virtio_device *d)
{
	struct console_area *a = area_of(d);
	unsigned n = 0;

	do {
		while (n < VIRTIO_TURN && waiting(a) && virtio_take(d, RECEIVE, &chain)) {
			receive_into(d, &chain);
			n++;
		}
	} while (n < VIRTIO_TURN && waiting(a) && vq_listen(&d->queue[RECEIVE]));
	virtio_signal(d, RECEIVE);
	return n == VIRTIO_TURN;
}

/* ---- the device ---- */

static bool notify(struct virtio_device *d, unsigned queue)
{
	return queue == TRANSMIT ? virtio_serve(d, queue, transmit) : receive(d);
}

static void again(struct virtio_device *d, unsigned queue, const struct vq_chain *c)
{
	if (queue == TRANSMIT)
		transmit_again(d, c);
	else
		receive_into(d, c);
}

static void io(struct virtio_device *d)
{
	if (waiting(area_of(d)))
		virtio_notify(d, RECEIVE);
}

/* Used indexes begin anew. */
static bool reset(struct virtio_device *d)
{
	set(&area_of(d)->out_mark, CONSOLE_MARK_NONE);
	set(&area_of(d)->in_mark, CONSOLE_MARK_NONE);
	return true;
}

const struct virtio_device_ops console_ops = {
	.name = "console",
	.type = 3,
	.class = 0x078000, /* communication, other */
	.n_queues = QUEUES,
	.queue_size = 64,
	.attach = receive_settle,
	.notify = notify,
	.again = again,
	.reset = reset,
	.io = io,
};
