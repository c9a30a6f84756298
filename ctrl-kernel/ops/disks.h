/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's drives (drivers/disks.h), and what lies on them. */
#ifndef OPS_DISKS_H
#define OPS_DISKS_H

#include "drivers/blkdev.h"
#include "drivers/disks.h"
#include "ctrl-kernel/blk/part/part.h"
#include "ctrl-kernel/ops/ops.h"

struct disk_content {
	struct part_table table;
	const char *signature; /* "GPT partition table", ...; NULL: nothing is known there */
};

struct blkdev *disk_find(const char *name); /* NULL: there is none */
const char *disk_state(const struct blkdev *b);

/*
 * Reads partition table and signature. c is only for done(), NULL when e says why there is none. A disk that cannot be read
 * has a table with words about that.
 */
typedef void (*disk_look_fn)(void *ctx, const struct disk_content *c, const struct ops_error *e);
int disk_look(struct blkdev *b, disk_look_fn done, void *ctx, struct ops_error *e) MUST_CHECK;

#endif
