/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Volume groups out of the disks that were read: of each group the text with the highest seqno whose checksum is good, and
 * which disk is which of its physical volumes. Disks may be missing, double, or of two minds; the group then says why it is
 * read-only or refused. One thread.
 */
#ifndef LVM_POOL_H
#define LVM_POOL_H

#include "ctrl-kernel/blk/lvm/disk.h"

struct lvm_pool {
	struct lvm_vg **vgs; /* [owns], and the groups */
	unsigned count;
};

/* Takes the groups out of disks that were just scanned, which stay and get their disk->vg. NOMEM: nothing was taken. */
int lvm_pool_make(struct lvm_pool *pool, struct lvm_disk *const disks[], unsigned count) MUST_CHECK;
/*
 * A group that a plan has put on the disks: in place of the one before, or a new one. Takes the group, but not on failure:
 * NOMEM, for a new one only. That no group has its name was checked before it was made.
 */
int lvm_pool_put(struct lvm_pool *pool, struct lvm_disk *const disks[],
		 struct lvm_vg *next) MUST_CHECK;
void lvm_pool_free(struct lvm_pool *pool);
struct lvm_vg *lvm_pool_find(const struct lvm_pool *pool, const char *name);

#endif
