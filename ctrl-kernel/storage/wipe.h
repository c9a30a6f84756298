/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Takes a volume group off its disks, by steps (blk/step.h):
 *
 *   each area    a header without text | flush     the group is there, whole, until the last one
 *   each disk    zeros over the label  | flush     belongs to no group any more
 *
 * A cut leaves the group, or physical volumes without one. The volumes' data stay where they are.
 */
#ifndef STORAGE_WIPE_H
#define STORAGE_WIPE_H

#include "ctrl-kernel/blk/lvm/disk.h"
#include "ctrl-kernel/storage/stepper.h"

struct wipe {
	struct step *steps; /* [owns] */
	unsigned count, at;
	uint8_t *headers; /* [owns] one of LVM_SECTOR_MAX for each area, then zeros */
	bool failed;
};

/* STATE: a disk is missing. NOMEM. */
int wipe_make(struct wipe *w, const struct lvm_vg *vg, struct lvm_disk *const disks[],
	      struct lvm_why *why) MUST_CHECK;
bool wipe_failed(const struct wipe *w);
void wipe_free(struct wipe *w);
extern const struct stepper_ops wipe_ops;

#endif
