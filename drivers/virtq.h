/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A split virtqueue, driver side (virtio 1.2 section 2.7), for buffers of one descriptor each and chains of several. Pure
 * memory: the transport tells the device where the parts are and rings it. The device is not trusted: an id it returns must
 * be that of a buffer or chain in flight, a length at most the buffer's or the chain's part for the device to write, or the
 * queue is `broken` and gives nothing more. How chains hang together is kept where the device cannot write.
 */
#ifndef DRIVERS_VIRTQ_H
#define DRIVERS_VIRTQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ctrl-kernel/rt/virtio_regs.h"

#define VIRTQ_SIZE_MAX 256u

struct virtq {
	unsigned size;                    /* power of two */
	uint64_t hpa;                     /* the transport's: where the block lies */
	volatile struct vring_desc *desc; /* [borrows] DMA memory, all three */
	volatile struct vring_avail *avail;
	volatile struct vring_used *used;
	uint16_t avail_idx, used_idx; /* ours: next to fill, next to take */
	unsigned free_head, n_free;
	uint16_t next_free[VIRTQ_SIZE_MAX]; /* of the free list, and of a chain in flight */
	uint16_t last[VIRTQ_SIZE_MAX];      /* by the head of a chain in flight */
	uint16_t links[VIRTQ_SIZE_MAX];     /* descriptors of it */
	uint32_t posted
		[VIRTQ_SIZE_MAX]; /* by head: bytes it may say it wrote; 0: no head in flight */
	bool broken;
};

/* Offsets of the parts in one zeroed block of virtq_bytes(), 4 KiB aligned. */
size_t virtq_bytes(unsigned size);
size_t virtq_avail_offset(unsigned size);
size_t virtq_used_offset(unsigned size);
void virtq_init(struct virtq *q, unsigned size, void *block);

/* -> the descriptor's index, which take() returns again; -1: queue full or broken. len > 0. */
int virtq_post(struct virtq *q, uint64_t hpa, uint32_t len, bool device_writes);

struct virtq_part {
	uint64_t hpa;
	uint32_t len;
	bool device_writes; /* these come after the others (2.7.4.2) */
};
/* A chain of n parts, not all empty -> its head, as virtq_post(). */
int virtq_post_chain(struct virtq *q, const struct virtq_part *parts, unsigned n);
bool virtq_wants_kick(const struct virtq *q);   /* after posting */
int virtq_take(struct virtq *q, uint32_t *len); /* -> index, -1: nothing */
bool virtq_pending(const struct virtq *q);
void virtq_interrupts(struct virtq *q, bool on); /* after on: look at virtq_pending() again */

#endif
