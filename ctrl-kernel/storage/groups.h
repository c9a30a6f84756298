/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The volume groups of this machine: which places (drives, partitions) there are, what was read from them, and the one
 * queue in which groups are read and changed.
 *
 *   groups_scan()  ─┐                      ┌► places, tables, groups anew ─► volumes_rebind()
 *   groups_change() ┴► queue, one at a time ┴► plan, step by step ─► in force ─► volumes_rebind() ─► done()
 *
 * A change is in force on its disks before done() is called with success. One that failed after its commit began (LVM_UNKNOWN) has
 * all places read again before done() is called: what is in force then is what groups_vg() gives.
 */
#ifndef STORAGE_GROUPS_H
#define STORAGE_GROUPS_H

#include "drivers/blkdev.h"
#include "ctrl-kernel/blk/lvm/pool.h"

/* What volume.c needs. */
const struct lvm_vg *groups_vg(const char *name);     /* NULL: none of that name */
const struct lvm_vg *groups_vg_by_id(const char *id); /* of LVM_ID_SIZE */
struct blkdev *groups_dev(int disk);                  /* of pvs[].disk; NULL: none */

#endif
