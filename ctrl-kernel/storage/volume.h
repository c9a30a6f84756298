/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An open volume is a block device (drivers/blkdev.h): its requests are cut where the volume's extents end, and go to the
 * drives it lies on as they are, memory and all: nothing is copied.
 *
 *   request ─► queue ─► lvm_map() ─► parts ─► drives     first error wins; done() when no part is under way
 *
 * Parts come from a fixed stock that each open volume has, of VOLUME_PARTS; requests wait for them in order. FLUSH goes to
 * each drive the volume lies on, FUA with each part. DISCARD where a drive offers none does nothing; WRITE_ZEROES
 * writes zeros there. A sector whose memory is in more than VOLUME_SEGS pieces, at the end of an extent, ends with UNSUPPORTED.
 *
 * A volume that is open is neither deleted nor shrunk. When it grows, dev->bytes does and dev->changed() is called. When its
 * group is read again and it is not there any more, dev->gone is set and changed() is called.
 * One thread: the control kernel's loop.
 */
#ifndef STORAGE_VOLUME_H
#define STORAGE_VOLUME_H

#include "drivers/blkdev.h"
#include "ctrl-kernel/blk/lvm/vg.h"

#define VOLUME_PARTS 32u
#define VOLUME_SEGS 32u
#define VOLUMES_OPEN_MAX 2048u
#define VOLUME_TOTALS_MAX 1024u /* figures of volumes that are not open */
#define POOL_RAM "ram"          /* the pool whose volumes are memory */

/*
 * NOENT: no such pool or volume. STATE: it cannot be served, or not be written. BUSY: somebody else has it open for writing,
 * and write is asked for. NOMEM, LIMIT. With why. The caller closes *out.
 */
int volume_open(const char *pool, const char *name, bool write, struct blkdev **out,
		struct lvm_why *why) MUST_CHECK;
/* No request is under way. */
void volume_close(struct blkdev *dev);
/* How often it is open, and whether for writing. */
unsigned volume_users(const char *pool, const char *name, bool *writer);

/* ---- for the layer of the pools ---- */

/* The groups have changed or were read anew: all that is open follows. Nothing open may have lost extents. */
void volumes_rebind(void);
struct ram_volume;
void volumes_grown(const struct ram_volume *ram); /* a volume in memory is larger now */
/* What was asked of a volume, by all that have or had it open since this program started. id: of LVM, or "ram-N". */
void volume_stats(const char *pool, const char *name, const char *id, struct blk_stats *out);
void volume_forget(const char *id); /* it is deleted */

#endif
