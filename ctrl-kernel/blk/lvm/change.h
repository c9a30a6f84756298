/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes of a volume group. Each takes a group and gives the next one, with a seqno one higher, whole and checked by
 * reading it back from its own text; the old one is as it was. Nothing is on a disk before a plan (commit.h) has run.
 *
 * STATE: the group is read-only or the volume not supported. NOENT, EXIST: names. LIMIT: no room. INVAL: a name or a size.
 * NOMEM. Each with why.
 */
#ifndef LVM_CHANGE_H
#define LVM_CHANGE_H

#include "ctrl-kernel/blk/lvm/disk.h"

struct lvm_stamp {
	const char *host;   /* that makes the change */
	uint64_t time;      /* s since 1970 */
	uint8_t random[32]; /* for the identity of what is made; not used twice */
};

struct lvm_request {
	const struct lvm_vg *vg;
	struct lvm_stamp stamp;
};

/* A group of disks[which[0..count-1]], all from lvm_disk_make(). extent_sectors: a power of two from 8 on. */
int lvm_vg_create(const char *name, uint32_t extent_sectors, struct lvm_disk *const disks[],
		  const unsigned *which, unsigned count, const struct lvm_stamp *stamp,
		  struct lvm_vg **next, struct lvm_why *why) MUST_CHECK;
/* disk: number in the list that the group was bound with, from lvm_disk_make(). */
int lvm_vg_extend(const struct lvm_request *r, const struct lvm_disk *d, unsigned disk,
		  struct lvm_vg **next, struct lvm_why *why) MUST_CHECK;
/* Linear, from the first extents that are free, PV by PV. */
int lvm_lv_create(const struct lvm_request *r, const char *name, uint32_t extents,
		  struct lvm_vg **next, struct lvm_why *why) MUST_CHECK;
/* Growing begins behind the last extent if that is free. Shrinking gives back what is at the end, and its data with it. */
int lvm_lv_resize(const struct lvm_request *r, const char *name, uint32_t extents,
		  struct lvm_vg **next, struct lvm_why *why) MUST_CHECK;
int lvm_lv_rename(const struct lvm_request *r, const char *name, const char *to,
		  struct lvm_vg **next, struct lvm_why *why) MUST_CHECK;
int lvm_lv_delete(const struct lvm_request *r, const char *name, struct lvm_vg **next,
		  struct lvm_why *why) MUST_CHECK;

/* ---- free extents ---- */

struct lvm_gap {
	uint32_t pv, pe, count;
	uint32_t next; /* of vg->used[] */
};

/* Gaps in order of PV and extent, those of PVs that may not be allocated from left out; begins with *gap = {0}. */
bool lvm_gap_next(const struct lvm_vg *vg, struct lvm_gap *gap);

#endif
