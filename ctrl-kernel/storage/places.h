/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Places where a physical volume may lie: each drive, and each partition of a drive as a block device of its own. A reading
 * is what was found at all of them, at one time:
 *
 *   each drive ─► partition table ─┬─ none ─► LVM2's label, areas and texts of the drive
 *   (side by side)                 └─ some ─► the same of each partition          all ─► lvm_pool_make() ─► done
 *
 * A partition's device lives for good and is the same in each reading in which the partition is: requests may be under way.
 */
#ifndef STORAGE_PLACES_H
#define STORAGE_PLACES_H

#include "drivers/blkdev.h"
#include "ctrl-kernel/blk/lvm/pool.h"

#define PLACES_MAX 512u

struct place {
	struct blkdev *dev;   /* [borrows] its name is the place's */
	struct blkdev *drive; /* [borrows] the same, unless it is a partition */
	unsigned partition;   /* its number; 0: all of the drive */
	unsigned partitions;  /* of a drive, found in its table */
	struct lvm_disk lvm;
};

struct reading {
	unsigned count;
	struct place *place[PLACES_MAX];  /* [owns] */
	struct lvm_disk *lvm[PLACES_MAX]; /* [borrows] into place[] */
	struct blkdev *devs[PLACES_MAX];  /* [borrows] */
	struct lvm_pool pool;
	bool full; /* there are more places than are looked at */
};

/* Called from the loop. r: [owns] of the receiver; NULL: no memory. */
typedef void (*reading_fn)(struct reading *r);

/* Reads all drives of a list linked by next; those that are gone are left out. One at a time. */
void reading_begin(struct blkdev *drives, reading_fn done);
void reading_free(struct reading *r);
/* The place of that name; -1: none. */
int reading_find(const struct reading *r, const char *name);

/* Bytes [start, start + bytes) of a drive as a device. Always the same for the same four. NULL: no memory, or too many. */
struct blkdev *partition_dev(struct blkdev *drive, unsigned number, uint64_t start, uint64_t bytes);

#endif
