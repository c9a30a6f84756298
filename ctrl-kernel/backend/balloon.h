/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest gives back (vmm/virtio/balloon.c), behind page 0 of the I/O area: its memory goes to the host when no
 * request that was under way can touch it (guestmem.h). One thread: the loop.
 */
#ifndef BACKEND_BALLOON_H
#define BACKEND_BALLOON_H

#include "ctrl-kernel/backend/vmio.h"
#include "ctrl-kernel/vmm/io_area.h"

struct balloon;

/* What the vmm says; anything may stand there. */
struct balloon_stats {
	uint64_t actual_pages;
	bool told; /* the guest has told of the following; IO_BALLOON_UNKNOWN: not of that */
	uint64_t stats[IO_BALLOON_STATS];
};

/* It is io's from here on: vmio_close() ends it. NULL: no memory. */
struct balloon *balloon_make(struct vmio *io);
void balloon_stats(const struct balloon *b, struct balloon_stats *out);

#endif
