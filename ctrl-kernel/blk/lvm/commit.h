/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A plan is the writes, in order, that put a group on its disks. Whatever of it has reached the disks when the power goes,
 * reading them gives the group before or the group after.
 *
 *   new disks   | zeros over what was there | F | empty area headers | F | label | F     belongs to no group yet
 *   all areas   | text into the free part of the ring                | F                 nothing points to it yet
 *   each area   | header, one sector                                 | F                 the first one commits
 *
 * F: a flush of each disk that was written. Between flushes writes may reach the medium in any order and in part; a
 * sector is written whole or not at all. Areas that have not yet got their header have the lower seqno, and lose.
 */
#ifndef LVM_COMMIT_H
#define LVM_COMMIT_H

#include "ctrl-kernel/blk/lvm/disk.h"

enum lvm_outcome {
	LVM_OLD,     /* nothing is committed */
	LVM_UNKNOWN, /* the old or the new: read the disks again */
	LVM_NEW,     /* committed, on all areas */
};

struct lvm_planned;

struct lvm_plan {
	struct lvm_disk *const *disks; /* [borrows] */
	struct step *steps;            /* [owns] */
	uint32_t count, room, at;
	uint32_t commit; /* the first step that commits */
	bool failed;
	struct lvm_planned *areas; /* [owns] */
	uint32_t area_count;
	char vg_id[LVM_ID_SIZE];
	uint64_t seqno;
	struct lvm_bytes *buffers; /* [owns] */
	void *zeros;               /* [owns] */
	int r;                     /* what went wrong while it was made */
};

/*
 * vg: the next group, bound to disks[]. Disks that are fresh get label and headers first. LIMIT: an area has no room for
 * the text. STATE: no area can be written. NOMEM. The disks must stay as they are until the plan is over.
 */
int lvm_plan_make(struct lvm_plan *p, const struct lvm_vg *vg, struct lvm_disk *const disks[],
		  struct lvm_why *why) MUST_CHECK;
/* The next step; STEP_END: all are done, or one failed. The same until lvm_plan_done(). */
struct step lvm_plan_next(const struct lvm_plan *p);
/* After the last one the disks know what is on them. After a failure nothing more is to be written. */
void lvm_plan_done(struct lvm_plan *p, bool ok);
enum lvm_outcome lvm_plan_outcome(const struct lvm_plan *p);
void lvm_plan_free(struct lvm_plan *p);

#endif
