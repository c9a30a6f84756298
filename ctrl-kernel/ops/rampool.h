/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside ops: the pool "ram" (pools.h). Its volumes are memory objects that hv keeps (keep_ram.h), so that they outlive
 * the control kernel; they are gone when the machine is. Making and growing one takes memory piece by piece, between
 * which the loop serves others.
 */
#ifndef OPS_RAMPOOL_H
#define OPS_RAMPOOL_H

#include "ctrl-kernel/ops/pools.h"

void rampool_init(void); /* after keep_init(): what the instance before left */
void rampool_info(struct pool_info *out);
bool rampool_volume_next(unsigned *cursor, struct volume_info *out);
int rampool_create(const char *name, uint64_t bytes, ops_done_fn done, void *ctx,
		   struct ops_error *e) MUST_CHECK;
int rampool_resize(const char *name, uint64_t bytes, ops_done_fn done, void *ctx,
		   struct ops_error *e) MUST_CHECK;
int rampool_rename(const char *name, const char *to, ops_done_fn done, void *ctx,
		   struct ops_error *e) MUST_CHECK;
int rampool_delete(const char *name, struct blkdev *own, ops_done_fn done, void *ctx,
		   struct ops_error *e) MUST_CHECK;

#endif
