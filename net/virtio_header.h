/* SPDX-License-Identifier: BSD-2-Clause */
/* The header in front of a frame in a virtqueue (virtio 1.2, 5.1.6), for who drives a card and for who is one. */
#ifndef NET_VIRTIO_HEADER_H
#define NET_VIRTIO_HEADER_H

#include "net/nic.h"

struct virtio_header {
	uint8_t flags, gso_type;
	uint16_t header_bytes, gso_bytes, csum_start, csum_offset;
	uint16_t buffers; /* received frames: of the frame */
};
_Static_assert(sizeof(struct virtio_header) == 12, "5.1.6");
#define VIRTIO_HEADER_CSUM_WANTED 1u
#define VIRTIO_HEADER_CSUM_GOOD 2u

static inline struct packet_offload virtio_header_read(const struct virtio_header *h)
{
	return (struct packet_offload){
		.gso = h->gso_type,
		.csum_wanted = h->flags & VIRTIO_HEADER_CSUM_WANTED,
		.csum_good = h->flags & VIRTIO_HEADER_CSUM_GOOD,
		.gso_bytes = h->gso_bytes,
		.csum_start = h->csum_start,
		.csum_offset = h->csum_offset,
	};
}

/* What is left to do; not what has been checked. */
static inline struct virtio_header virtio_header_of(const struct packet_offload *o)
{
	struct virtio_header h = {0};

	if (o->csum_wanted) {
		h.flags = VIRTIO_HEADER_CSUM_WANTED;
		h.csum_start = o->csum_start;
		h.csum_offset = o->csum_offset;
	}
	if (o->gso != PACKET_WHOLE) {
		h.gso_type = o->gso;
		h.gso_bytes = o->gso_bytes;
		h.header_bytes = o->header_bytes;
	}
	return h;
}

#endif
