/* SPDX-License-Identifier: BSD-2-Clause */
/* See virtq.h. */
#include "drivers/virtq.h"
#include "drivers/bits.h"

#define USED_ALIGN 4u

size_t virtq_avail_offset(unsigned size)
{
	return size * sizeof(struct vring_desc);
}

size_t virtq_used_offset(unsigned size)
{
	size_t end = virtq_avail_offset(size) + sizeof(struct vring_avail) +
		     size * sizeof(uint16_t) + sizeof(uint16_t); /* used_event */

	return (end + USED_ALIGN - 1) & ~(size_t)(USED_ALIGN - 1);
}

size_t virtq_bytes(unsigned size)
{
	return virtq_used_offset(size) + sizeof(struct vring_used) +
	       size * sizeof(struct vring_used_elem) + sizeof(uint16_t); /* avail_event */
}

void virtq_init(struct virtq *q, unsigned size, void *block)
{
	char *at = block;

	*q = (struct virtq){.size = size, .n_free = size};
	q->desc = (volatile struct vring_desc *)at;
	q->avail = (volatile struct vring_avail *)(at + virtq_avail_offset(size));
	q->used = (volatile struct vring_used *)(at + virtq_used_offset(size));
	for (unsigned i = 0; i < size; i++)
		q->next_free[i] = (uint16_t)(i + 1);
}

static unsigned fill(struct virtq *q, const struct virtq_part *part, bool more)
{
	unsigned i = q->free_head;

	q->free_head = q->next_free[i];
	q->desc[i].addr = part->hpa;
	q->desc[i].len = part->len;
	q->desc[i].flags = (uint16_t)((part->device_writes ? VRING_WRITE : 0) |
				      (more ? VRING_NEXT : 0));
	q->desc[i].next = more ? (uint16_t)q->free_head : 0;
	return i;
}

/* bytes: the most that the device may say it wrote. */
static int post(struct virtq *q, const struct virtq_part *parts, unsigned n, uint32_t bytes)
{
	unsigned head = q->free_head, last = head;

	if (n == 0 || n > q->n_free || q->broken || bytes == 0)
		return -1;
	for (unsigned i = 0; i < n; i++)
		last = fill(q, &parts[i], i + 1 < n);
	q->n_free -= n;
	q->posted[head] = bytes;
	q->last[head] = (uint16_t)last;
	q->links[head] = (uint16_t)n;
	q->avail->ring[q->avail_idx & (q->size - 1)] = (uint16_t)head;
	dma_barrier(); /* the entry before the index that publishes it */
	q->avail->idx = ++q->avail_idx;
	return (int)head;
}

int virtq_post(struct virtq *q, uint64_t hpa, uint32_t len, bool device_writes)
{
	return post(q, &(struct virtq_part){hpa, len, device_writes}, 1, len);
}

int virtq_post_chain(struct virtq *q, const struct virtq_part *parts, unsigned n)
{
	uint32_t written = 0, read = 0;

	for (unsigned i = 0; i < n; i++)
		if (__builtin_add_overflow(parts[i].device_writes ? written : read, parts[i].len,
					   parts[i].device_writes ? &written : &read))
			return -1;
	return post(q, parts, n, written ? written : read);
}

bool virtq_wants_kick(const struct virtq *q)
{
	dma_full_barrier(); /* our index before its flag (2.7.13.4.1) */
	return !(q->used->flags & VRING_USED_NO_NOTIFY);
}

bool virtq_pending(const struct virtq *q)
{
	return !q->broken && q->used->idx != q->used_idx;
}

int virtq_take(struct virtq *q, uint32_t *len)
{
	volatile struct vring_used_elem *elem = &q->used->ring[q->used_idx & (q->size - 1)];
	uint32_t id, n;

	if (!virtq_pending(q))
		return -1;
	dma_barrier(); /* the index before the entry */
	id = elem->id;
	n = elem->len;
	if (id >= q->size || q->posted[id] == 0 || n > q->posted[id]) {
		q->broken = true;
		return -1;
	}
	q->used_idx++;
	q->posted[id] = 0;
	q->next_free[q->last[id]] = (uint16_t)q->free_head;
	q->free_head = id;
	q->n_free += q->links[id];
	*len = n;
	return (int)id;
}

void virtq_interrupts(struct virtq *q, bool on)
{
	q->avail->flags = (uint16_t)(on ? 0 : VRING_AVAIL_NO_INTERRUPT);
	dma_full_barrier();
}
