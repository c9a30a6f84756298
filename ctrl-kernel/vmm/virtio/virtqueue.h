/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A split virtqueue, device side (virtio 1.2, 2.7). The driver lies: its rings are checked to be RAM when the queue is
 * enabled, each index and descriptor is copied once and the copy checked, and what makes no sense leaves the queue
 * `broken` with the reason: it gives nothing more until it is attached again. state.h says what survives and which
 * store publishes it. Pure: guest memory and survivor page are the caller's; one thread.
 */
#ifndef VMM_VIRTIO_VIRTQUEUE_H
#define VMM_VIRTIO_VIRTQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl-kernel/rt/virtio_regs.h"
#include "ctrl-kernel/vmm/guest.h"
#include "ctrl-kernel/vmm/state.h"

#define VIRTIO_RING_INDIRECT (1ull << 28)
#define VIRTIO_RING_EVENT_IDX (1ull << 29)

struct vq_segment {
	uint64_t gpa; /* `bytes` from here on are RAM, in one piece */
	uint32_t bytes;
	uint32_t reserved;
};

/* One request: `n_out` segments to read, then `n_in` to write. */
struct vq_chain {
	uint16_t head;
	uint16_t n_out, n_in;
	uint32_t out_bytes, in_bytes;
	struct vq_segment segment[VIRTIO_QUEUE_SIZE_MAX];
};

struct vq_done { /* a chain, and how much of it was filled */
	uint16_t head;
	uint32_t written;
};

struct virtqueue {
	struct virtio_queue_state *s; /* [borrows] */
	uint16_t *batch;         /* [borrows] virtio_state.batch; NULL: it completes one by one */
	const struct guest *ram; /* [borrows] */
	volatile struct vring_desc *desc; /* [borrows] guest memory; NULL: off or broken */
	volatile struct vring_avail *avail;
	volatile struct vring_used *used;
	uint16_t size;      /* as checked */
	uint16_t max;       /* largest size offered, and descriptors a chain may have */
	uint16_t signalled; /* used index at the last decision about an interrupt */
	bool event_idx, indirect;
	bool signal; /* interrupt whatever the driver asked for: what was decided before is not known */
	const char *broken; /* why; NULL: it is not */
};

/* The driver's view of an empty queue that is off. */
void vq_reset(struct virtqueue *q);
/* Sizes and addresses stand in q->s: turns it on, or finds it as an instance before left it. False: broken. */
MUST_CHECK bool vq_attach(struct virtqueue *q, uint64_t features);
/* The next chain: it is in flight from here on. False: there is none, or broken. */
MUST_CHECK bool vq_take(struct virtqueue *q, struct vq_chain *c);
/* A chain that is in flight, once more: the first whose head is at or above `from`. False: none, or broken. */
MUST_CHECK bool vq_retake(struct virtqueue *q, unsigned from, struct vq_chain *c);
/* The chain with this head is done, `written` bytes of it were filled. Only for chains in flight. */
void vq_complete(struct virtqueue *q, uint16_t head, uint32_t written);
/* n of them at once: the driver sees all or none. Only for a queue with `batch`, at most its size. */
void vq_complete_batch(struct virtqueue *q, const struct vq_done *done, unsigned n);
/* Does the driver want an interrupt for what was completed since the last question? */
MUST_CHECK bool vq_interrupt(struct virtqueue *q);
/* Asks for a notification of the next chain. True: one is there already. */
MUST_CHECK bool vq_listen(struct virtqueue *q);
bool vq_in_flight(const struct virtqueue *q, unsigned head);

/* Between a buffer and the chain's part to write, or to read, from byte `offset` of it on. -> bytes copied */
size_t vq_copy_to(const struct virtqueue *q, const struct vq_chain *c, size_t offset,
		  const void *from, size_t n);
size_t vq_copy_from(const struct virtqueue *q, const struct vq_chain *c, size_t offset, void *to,
		    size_t n);

#endif
