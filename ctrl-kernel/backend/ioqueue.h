/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control kernel's side of a queue of the I/O area (vmm/io_area.h). What the vmm writes there is copied once and
 * checked; what is under way, and what `done` was, stands in memory of our own.
 */
#ifndef BACKEND_IOQUEUE_H
#define BACKEND_IOQUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "ctrl-kernel/rt/rt.h"
#include "ctrl-kernel/vmm/io_area.h"

struct io_request { /* a copy: nobody changes it under our hands */
	struct io_record record;
	struct io_seg seg[IO_DISK_SEGS];
};
_Static_assert(IO_NIC_SEGS <= IO_DISK_SEGS, "room for both");

struct ioqueue {
	struct io_queue *shared; /* [borrows] */
	unsigned entries, record_bytes, max_segs;
	uint64_t done[IO_WORDS];      /* as we wrote it last */
	uint64_t under_way[IO_WORDS]; /* taken, not finished */
	unsigned n_under_way;
	uint32_t order_tail, asked_seen, frames;
	/* Goes before what `asked` says: was there when it was attached, or was not begun. */
	uint64_t left[IO_WORDS];
	bool any_left; /* maybe */
};

/* On a queue as whoever served it before left it: what was not finished comes again. */
void ioqueue_attach(struct ioqueue *q, struct io_queue *shared, unsigned entries,
		    unsigned record_bytes);
/*
 * The next request at or above *from, in the order of their numbers; *i is its number, and *from one more. False: there is
 * none. One whose form is wrong (too many segments, an empty one, a sum that is not `bytes`) has n_segs UINT32_MAX and is to
 * be finished as failed.
 */
bool ioqueue_take(struct ioqueue *q, unsigned *from, unsigned *i,
		  struct io_request *out) MUST_CHECK;
/* The next one: first what was there when it was attached, then in the order in which they were submitted, as far as that is known. */
bool ioqueue_next(struct ioqueue *q, unsigned *i, struct io_request *out) MUST_CHECK;
void ioqueue_untake(struct ioqueue *q, unsigned i); /* it was not begun: it can be taken again */
/* The request with that number, which was taken. The vmm is told by whoever finished the last one. */
void ioqueue_finish(struct ioqueue *q, unsigned i, uint32_t result);
/* The guest's driver resets its device: what is taken from now on is to be finished at once, undone. */
bool ioqueue_cancelled(const struct ioqueue *q);
bool ioqueue_waits(const struct ioqueue *q); /* there is something to take */
/* The vmm need not tell of what it submits, until this is taken back; look for what came before that once more. */
void ioqueue_watch(struct ioqueue *q, bool on);
/* Of a NIC's receive queue: what the driver takes; and a number for a frame in several buffers. */
uint32_t ioqueue_mode(const struct ioqueue *q); /* enum io_nic_mode */
uint32_t ioqueue_frame(struct ioqueue *q);

#endif
