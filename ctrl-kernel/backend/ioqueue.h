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
	uint32_t order_tail;
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
/* The request with that number, which was taken. The vmm is told by whoever finished the last one. */
void ioqueue_finish(struct ioqueue *q, unsigned i, uint32_t result);

#endif
