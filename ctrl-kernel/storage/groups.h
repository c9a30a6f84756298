/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The volume groups of this machine, and the one queue in which they are read and changed: one thing at a time.
 *
 *   groups_submit() ─► queue ─┬─ SCAN ──────────────────────────────────► all places anew ─┐
 *                             ├─ CHANGE ► signatures ► make() ► plan ► steps ► in force ───┼► volumes_rebind() ► done()
 *                             └─ REMOVE ► make() ► areas, then labels emptied ► anew ──────┘
 *
 * A change is on its disks, flushed, before done() has success. One that failed half-way has all places read again before
 * done() is called: what is in force then is what groups_vg() gives. What has the disks changed for no use (a new physical
 * volume whose group did not come to be) is read again, too.
 */
#ifndef STORAGE_GROUPS_H
#define STORAGE_GROUPS_H

#include "ctrl-kernel/blk/lvm/change.h"
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/storage/places.h"

enum groups_kind { GROUPS_SCAN, GROUPS_CHANGE, GROUPS_REMOVE };

struct groups_task {
	/* ---- the caller's; all stays until done() ---- */
	enum groups_kind kind;
	char vg[LVM_NAME_SIZE]; /* REMOVE: the group; CHANGE: the group, "" when it is to be made */
	char lv[LVM_NAME_SIZE]; /* the volume; "": none */
	char (*disks)[24]; /* [owns] by the caller: places that are to become physical volumes */
	unsigned n_disks;
	bool force; /* disks that carry something are overwritten */
	/*
	 * At its turn: checks against what is in force now, and gives the next group; REMOVE: only checks. *next may stay
	 * NULL: there is nothing to do.
	 */
	int (*make)(struct groups_task *t, struct lvm_vg **next, struct lvm_why *why);
	/* r: 0 or -HVE_xxx with why. From the loop. t may be freed. */
	void (*done)(struct groups_task *t, int r, const struct lvm_why *why);

	/* ---- for make() ---- */
	unsigned *places; /* n_disks numbers of places, from disks[] */
	bool closes;      /* by make(): until the end of this the volume cannot be opened */
	bool occupied;    /* for done(): a disk carries something, and force was not given */

	struct groups_task *next;
};

/* HVE_FAULT: a drive failed. What is asked for before the first scan waits for that. */
void groups_submit(struct groups_task *t);
/* The list of drives, for scans to come. */
void groups_drives(struct blkdev *(*first)(void));
/* The drives were read once since the start. Before, nothing is found. */
bool groups_known(void);
void groups_when_known(struct loop_job *job); /* deferred then, or now */
const struct reading *groups_reading(void);   /* never NULL */
struct lvm_disk *groups_disk(unsigned place); /* for lvm_disk_make() in make() */

/* ---- what volume.c needs ---- */
const struct lvm_vg *groups_vg(const char *name);     /* NULL: none of that name */
const struct lvm_vg *groups_vg_by_id(const char *id); /* of LVM_ID_SIZE */
struct blkdev *groups_dev(int disk);                  /* of pvs[].disk; NULL: none */
/* That volume is just being deleted or shrunk. */
bool groups_closes(const char *vg, const char *lv);

#endif
