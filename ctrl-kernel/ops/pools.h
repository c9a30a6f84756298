/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Storage pools and their volumes: volume groups of LVM2 on the drives of this machine, and the pool "ram", whose volumes
 * are memory. What lies on the disks is storage/groups.h's matter; here is who may ask for what.
 *
 * A change that has been answered with success is on its disks. Changes are carried out one at a time, in the order in
 * which they were asked for; what a call checks, it checks when it is its turn.
 */
#ifndef OPS_POOLS_H
#define OPS_POOLS_H

#include "drivers/blkdev.h"
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/ops/ops.h"

#define POOL_NAME_SIZE 128u /* of those that are found: LVM2 has longer names than are made here */
#define POOL_DISKS_MAX 64u  /* in one request */
#define DISK_NAME_SIZE 24u

struct job;

/* Reads all drives, now and whenever one appears or goes. Returns at once. After keep_init(). */
void pools_init(void);
void pools_watch(loop_fn fn); /* fn(NULL) whenever pools or volumes may have changed */

struct pool_info {
	char name[POOL_NAME_SIZE], id[40];
	bool ram;
	bool read_only; /* its metadata cannot be changed: why */
	bool refused;   /* nothing of it can be used: why */
	char why[192];
	uint64_t bytes, free, extent_bytes, seqno;
	unsigned volumes, disks;
	unsigned stale; /* metadata areas that the next change mends */
};

struct pool_disk_info {
	char name[DISK_NAME_SIZE]; /* "": it is missing */
	char id[40];
	uint64_t bytes;
	bool missing;
};

struct volume_info {
	char name[POOL_NAME_SIZE], id[40];
	char kind[32]; /* "linear", "striped", "memory", or one that is not supported */
	char why[192]; /* why it is not served; empty: it is */
	bool writable;
	uint64_t bytes;
	uint64_t created_s; /* since 1970; 0: not known */
	unsigned users;     /* how often it is open */
	struct blk_stats stats;
};

/* The pools: "ram" first. False: no more. */
bool pool_nth(unsigned n, struct pool_info *out);
int pool_info(const char *name, struct pool_info *out, struct ops_error *e) MUST_CHECK;
bool pool_disk_nth(const char *pool, unsigned n, struct pool_disk_info *out);
/* The next in the order of the group's text; begins with *cursor = 0. One that is a part of another is left out. */
bool pool_volume_next(const char *pool, unsigned *cursor, struct volume_info *out);
int volume_info(const char *pool, const char *name, struct volume_info *out,
		struct ops_error *e) MUST_CHECK;
bool pools_known(void); /* the drives were read once */
bool pools_settled(
	void); /* ... and none is still starting, or was found since and is not read yet */
int pool_none(const char *name, struct ops_error *e); /* there is no such pool, or not yet; -1 */

/* ---- each calls done later, or fails at once ---- */

struct pool_spec {
	char name[OPS_NAME_MAX];
	char disks[POOL_DISKS_MAX][DISK_NAME_SIZE];
	uint32_t n_disks;
	uint64_t extent_bytes; /* a power of two; 0: 4 MiB */
	uint32_t copies;       /* of the metadata on each disk: 1 or 2 */
	bool force;            /* overwrites what the disks carry */
};
int pools_scan(ops_done_fn done, void *ctx, struct ops_error *e) MUST_CHECK;
int pool_create(const struct pool_spec *spec, ops_done_fn done, void *ctx,
		struct ops_error *e) MUST_CHECK;
int pool_extend(const char *pool, const char *disk, bool force, ops_done_fn done, void *ctx,
		struct ops_error *e) MUST_CHECK;
int pool_delete(const char *pool, bool force, ops_done_fn done, void *ctx,
		struct ops_error *e) MUST_CHECK;

/* bytes are rounded up to whole extents (RAM: pages). */
int volume_create(const char *pool, const char *name, uint64_t bytes, ops_done_fn done, void *ctx,
		  struct ops_error *e) MUST_CHECK;
/* Smaller only with force, and while nobody has it open. */
int volume_resize(const char *pool, const char *name, uint64_t bytes, bool force, ops_done_fn done,
		  void *ctx, struct ops_error *e) MUST_CHECK;
int volume_rename(const char *pool, const char *name, const char *to, ops_done_fn done, void *ctx,
		  struct ops_error *e) MUST_CHECK;
/* own: [takes] a device of it that the caller has open and that does not count, closed at its turn; NULL: none. */
int volume_delete(const char *pool, const char *name, struct blkdev *own, ops_done_fn done,
		  void *ctx, struct ops_error *e) MUST_CHECK;

/* ---- operations that take long (jobs.h): volume_jobs.c ---- */

/* Overwrites it with zeros, then deletes it. */
int volume_zero_delete(const char *pool, const char *name, struct job **out,
		       struct ops_error *e) MUST_CHECK;
/* A copy, in this or another pool, called to. Until it is complete it is called "TO.partial". */
int volume_clone(const char *pool, const char *name, const char *to_pool, const char *to,
		 struct job **out, struct ops_error *e) MUST_CHECK;

/* Opens one for reading or writing, with errors of this layer. */
int volume_use(const char *pool, const char *name, bool write, struct blkdev **out,
	       struct ops_error *e) MUST_CHECK;

#endif
