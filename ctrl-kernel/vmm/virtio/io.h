/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vmm's side of a queue of the I/O area (vmm/io_area.h): chains of a virtqueue go to the control kernel and come back.
 * Record i is the chain whose head is i. Who has submitted tells it, once for all: vm_io_tell(). Nothing of what is under
 * way is kept here that the next instance would miss: the virtqueue knows which chains are in flight, the area which of
 * them are under way.
 */
#ifndef VMM_VIRTIO_IO_H
#define VMM_VIRTIO_IO_H

#include "ctrl-kernel/vmm/io_area.h"
#include "ctrl-kernel/vmm/virtio/virtio.h"

struct io {
	struct io_queue *shared; /* [borrows] */
	unsigned entries, record_bytes, max_segs;
	uint64_t submitted[IO_WORDS]; /* as we wrote it last */
	uint64_t waiting[IO_WORDS];   /* chains that we will complete */
	uint32_t order_seen, asked_tail;
};

/* The queue whose first page is `page` of the area. */
void io_attach(struct io *io, uint32_t page, unsigned entries, unsigned record_bytes);
/* The record to fill; its seg[] has room for max_segs. */
struct io_record *io_record_of(struct io *io, unsigned head);
/* Puts segments of a chain into the record, from byte `skip` of its part to read, or to write, on, at most `bytes`; sets
 * n_segs and bytes. False: more segments than the record takes. */
bool io_record_segs(struct io *io, struct io_record *r, const struct vq_chain *c, bool in,
		    uint32_t skip, uint32_t bytes) MUST_CHECK;
void io_submit(struct io *io, unsigned head);
/* The control kernel will see what has been submitted without being told. */
bool io_is_watched(const struct io *io) MUST_CHECK;
/* At the start of an instance, for a chain in flight: is it under way? Then it will come back; else it is to be submitted. */
bool io_resume(struct io *io, unsigned head) MUST_CHECK;
/* Submitted, and not come back. */
bool io_under_way(const struct io *io, unsigned head);
/* A chain that has come back, in the order in which they were done. False: none. */
bool io_done(struct io *io, unsigned *head, uint32_t *result) MUST_CHECK;
/* For a reset: what the control kernel has not begun is to come back at once. True: nothing is under way, and the queue
 * takes requests as before; false: ask again when something has come back (io_done), and tell (vm_io_tell). */
bool io_stop(struct io *io) MUST_CHECK;
#endif
