/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A block device of memory: a memory object of hv, mapped here, copied to and from by the segments' `va`. Volumes of the RAM
 * pool, and images as read-only drives. Sectors of 512 bytes; no write cache: what is done is done.
 *
 * Large requests are copied a few MiB a turn of the loop, so that others have theirs in between.
 */
#ifndef STORAGE_MEMDISK_H
#define STORAGE_MEMDISK_H

#include "drivers/blkdev.h"
#include "ctrl-kernel/rt/rt.h"

#define MEMDISK_SECTOR 512u

/*
 * mem: [borrows] handle; the object stays until memdisk_close(). bytes: rounded up to sectors, what is beyond them in the
 * object's last page is read as it is (zeros, as hv gives pages). NOMEM: it cannot be mapped. The caller closes *out.
 */
int memdisk_open(const char *name, uint32_t mem, uint64_t bytes, bool read_only,
		 struct blkdev **out) MUST_CHECK;
/* The object has grown: maps all of it, then tells changed(). NOMEM: as it was. */
int memdisk_grow(struct blkdev *b, uint64_t bytes) MUST_CHECK;
/* No request is under way. */
void memdisk_close(struct blkdev *b);

#endif
