/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's disk behind its I/O area: takes what the vmm has submitted, checks it, and hands it to a block device with the guest's
 * own memory.
 *
 *	take ─► copy checked ─► segments ─► blk_submit() ... done ─► next part, or result ─► the vmm is told
 *
 * Up to VDISK_SLOTS requests are under way; others, and those that a limit makes wait, stay in the area. A request whose
 * memory lies in more than VDISK_SEGS pieces goes to the device in parts, one after the other.
 *
 * Behind it is a source, which can be exchanged, or come later: until there is one, requests wait. A request under way
 * keeps its source; one that is not used any more is released. When the run ends, the disk lives on until its last request
 * has ended. One thread: the loop.
 */
#ifndef BACKEND_VDISK_H
#define BACKEND_VDISK_H

#include "ctrl-kernel/backend/vmio.h"
#include "ctrl-kernel/vmm/vmm_abi.h"

#define VDISK_SLOTS 64u
#define VDISK_SEGS 64u

struct vdisk;

struct vdisk_limits {
	uint64_t bytes_per_s, ops_per_s; /* 0: none */
	uint32_t burst_ms;               /* how much of each may be saved up */
};

struct vdisk_stats {
	uint64_t reads, read_bytes, writes, write_bytes, flushes, discards;
	uint64_t errors; /* that the guest was told of, whatever the reason */
	uint64_t in_flight;
};

/* In the VM's area as `place` says, which is read once. It is io's from here on: vmio_close() ends it. NULL: no memory. */
struct vdisk *vdisk_make(struct vmio *io, const struct vmm_disk *place,
			 const struct vdisk_limits *limits);
/* release(): when nothing of dev is under way any more and it is not the source any more; may be before this returns. NULL
 * dev: there is no medium, requests fail. False: no memory, and all as before. */
bool vdisk_source(struct vdisk *d, struct blkdev *dev,
		  void (*release)(struct blkdev *dev, void *ctx), void *ctx) MUST_CHECK;
/* It is taken out of the VM. What is under way ends by itself. */
void vdisk_end(struct vdisk *d);
void vdisk_stats(const struct vdisk *d, struct vdisk_stats *out);

#endif
