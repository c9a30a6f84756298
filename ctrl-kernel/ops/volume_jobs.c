/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What takes long with volumes (pools.h): overwriting one with zeros before it is deleted, and copying one.
 *
 *   zero    open ─► zeros, ZERO_BYTES at a time ─► flush ─► deleted
 *   clone   "TO.partial" made ─► both open ─► copied, some buffers at a time ─► flush ─► renamed to "TO"
 *
 * A clone that fails or is cancelled takes its part away again. When the control kernel dies, what was under way has failed: the
 * volume is there, some of it zeros; or "TO.partial" is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/ops/iobuf.h"
#include "ctrl-kernel/ops/jobs.h"
#include "ctrl-kernel/ops/pools.h"
#include "ctrl-kernel/storage/volume.h"

#define ZERO_BYTES (16ull << 20)
#define PARTIAL ".partial"

/* ---- zeros ---- */

struct zero {
	char pool[POOL_NAME_SIZE], name[POOL_NAME_SIZE];
	struct job *job;    /* [borrows] NULL: it was cancelled */
	struct blkdev *dev; /* [owns] open */
	uint64_t at;
	bool flushing;
	struct blk_request rq;
};

static void zero_end(struct zero *z, const struct ops_error *e)
{
	if (z->dev)
		volume_close(z->dev);
	if (z->job)
		job_end(z->job, e);
	free(z);
}

static void zero_deleted(void *ctx, const struct ops_error *e)
{
	zero_end(ctx, e);
}

static void zero_step(struct zero *z);

static void zero_done(struct blk_request *rq, enum blk_status status)
{
	struct zero *z = rq->ctx;
	struct ops_error e;

	if (status != BLK_OK)
		(void)iobuf_fail(&e, status, "overwriting the volume");
	if (status != BLK_OK || !z->job) {
		zero_end(z, &e);
		return;
	}
	z->at += rq->bytes;
	job_progress(z->job, z->at);
	zero_step(z);
}

static void zero_delete(struct zero *z)
{
	struct blkdev *own = z->dev;
	struct ops_error e;

	z->dev = NULL;
	job_commits(z->job);
	if (volume_delete(z->pool, z->name, own, zero_deleted, z, &e))
		zero_end(z, &e);
}

static void zero_step(struct zero *z)
{
	uint64_t left = z->dev->bytes - z->at;

	if (left == 0 && z->flushing) {
		zero_delete(z);
		return;
	}
	z->flushing = left == 0;
	z->rq = (struct blk_request){.op = left ? BLK_WRITE_ZEROES : BLK_FLUSH,
				     .offset = left ? z->at : 0,
				     .bytes = left < ZERO_BYTES ? left : ZERO_BYTES,
				     .done = zero_done,
				     .ctx = z};
	blk_submit(z->dev, &z->rq);
}

static void cancelled(struct job *job)
{
	struct ops_error e;

	(void)ops_fail(&e, OPS_ABORTED, NULL, "cancelled by request");
	job_end(job, &e);
}

static void zero_cancel(void *ctx)
{
	struct zero *z = ctx;
	struct job *job = z->job;

	z->job = NULL; /* what is under way ends first */
	cancelled(job);
}

int volume_zero_delete(const char *pool, const char *name, struct job **out, struct ops_error *e)
{
	struct zero *z = calloc(1, sizeof(*z));

	if (!z)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	if (volume_use(pool, name, true, &z->dev, e)) {
		free(z);
		return -1;
	}
	snprintf(z->pool, sizeof(z->pool), "%s", pool);
	snprintf(z->name, sizeof(z->name), "%s", name);
	z->job = job_begin_volume("zero", pool, name, "", z->dev->bytes, zero_cancel, z, e);
	if (!z->job) {
		zero_end(z, NULL);
		return -1;
	}
	*out = z->job;
	zero_step(z);
	return 0;
}

/* ---- copies ---- */

struct clone {
	char pool[POOL_NAME_SIZE], to[POOL_NAME_SIZE], partial[POOL_NAME_SIZE];
	struct job *job;           /* [borrows] NULL: it was cancelled */
	struct blkdev *from, *dev; /* [owns] open; NULL: not (yet) */
	struct iobufs bufs;
	uint64_t next, done, end;
	unsigned under_way;
	bool failed, made, flushing;
	struct ops_error error;
	struct blk_request flush;
};

static void clone_free(struct clone *c)
{
	if (c->job)
		job_end(c->job, c->failed ? &c->error : NULL);
	free(c);
}

static void clone_removed(void *ctx, const struct ops_error *e)
{
	struct clone *c = ctx;

	if (e)
		rt_log("volume %s/%s is left of a copy that failed: %s", c->pool, c->partial,
		       e->text);
	clone_free(c);
}

/* Gives everything back; what there is of the copy goes, unless it is complete. */
static void clone_undo(struct clone *c)
{
	struct ops_error e;

	if (c->dev)
		volume_close(c->dev);
	volume_close(c->from);
	iobufs_give(&c->bufs);
	if (!c->made)
		clone_free(c);
	else if (volume_delete(c->pool, c->partial, NULL, clone_removed, c, &e))
		clone_removed(c, &e);
}

static void clone_fail(struct clone *c, const struct ops_error *e)
{
	if (!c->failed)
		c->error = *e;
	c->failed = true;
	if (c->under_way == 0)
		clone_undo(c);
}

static void clone_renamed(void *ctx, const struct ops_error *e)
{
	struct clone *c = ctx;

	if (e) {
		clone_fail(c, e);
		return;
	}
	c->made = false; /* nothing is left to be taken away */
	clone_undo(c);
}

static void clone_step(struct clone *c, struct iobuf *b);

/* -> false: it goes no further, and c may be gone. */
static bool clone_goes_on(struct clone *c, enum blk_status status)
{
	struct ops_error e;

	c->under_way--;
	if (status == BLK_OK && c->job && !c->failed)
		return true;
	if (status != BLK_OK)
		(void)iobuf_fail(&e, status, "copying the volume");
	else
		(void)ops_fail(&e, OPS_ABORTED, NULL, "cancelled by request");
	clone_fail(c, &e);
	return false;
}

static void clone_flushed(struct blk_request *rq, enum blk_status status)
{
	struct clone *c = rq->ctx;
	struct ops_error e;

	if (!clone_goes_on(c, status))
		return;
	volume_close(c->dev);
	c->dev = NULL;
	job_commits(c->job);
	if (volume_rename(c->pool, c->partial, c->to, clone_renamed, c, &e))
		clone_fail(c, &e);
}

static void clone_written(struct blk_request *rq, enum blk_status status)
{
	struct clone *c = rq->ctx;
	struct iobuf *b = iobuf_of(rq);

	b->busy = false;
	c->done += b->seg.bytes;
	if (!clone_goes_on(c, status))
		return;
	job_progress(c->job, c->done);
	clone_step(c, b);
}

static void clone_read(struct blk_request *rq, enum blk_status status)
{
	struct clone *c = rq->ctx;
	struct iobuf *b = iobuf_of(rq);

	if (!clone_goes_on(c, status))
		return;
	c->under_way++;
	iobuf_go(b, c->dev, BLK_WRITE, b->seg.bytes, clone_written, c);
}

static void clone_step(struct clone *c, struct iobuf *b)
{
	uint64_t left = c->end - c->next;

	if (left) {
		uint32_t n = left < IOBUF_BYTES ? (uint32_t)left : IOBUF_BYTES;

		b->offset = c->next;
		c->next += n;
		c->under_way++;
		iobuf_go(b, c->from, BLK_READ, n, clone_read, c);
	} else if (c->under_way == 0) {
		c->under_way++;
		c->flush = (struct blk_request){.op = BLK_FLUSH, .done = clone_flushed, .ctx = c};
		blk_submit(c->dev, &c->flush);
	}
}

static void clone_created(void *ctx, const struct ops_error *e)
{
	struct clone *c = ctx;
	struct ops_error mine;

	c->made = !e;
	if (!e && !c->job)
		(void)ops_fail(&mine, OPS_ABORTED, NULL, "cancelled by request");
	else if (!e && volume_use(c->pool, c->partial, true, &c->dev, &mine) == 0)
		e = NULL;
	else if (e)
		mine = *e;
	if (!c->dev) {
		clone_fail(c, &mine);
		return;
	}
	c->end = c->from->bytes < c->dev->bytes ? c->from->bytes : c->dev->bytes;
	for (unsigned i = 0; i < IOBUFS_EACH; i++)
		clone_step(c, c->bufs.buf[i]);
}

static void clone_cancel(void *ctx)
{
	struct clone *c = ctx;
	struct job *job = c->job;

	c->job = NULL; /* what is under way ends first */
	cancelled(job);
}

static int clone_check(const char *to_pool, const char *to, struct ops_error *e)
{
	struct volume_info there;
	struct pool_info pool;
	struct ops_error none;

	if (ops_name_check(to, "name", e) || pool_info(to_pool, &pool, e))
		return -1;
	if (strlen(to) + sizeof(PARTIAL) > OPS_NAME_MAX)
		return ops_fail(e, OPS_INVALID, "name",
				"the name of a copy has at most %u characters",
				OPS_NAME_MAX - (unsigned)sizeof(PARTIAL));
	if (volume_info(to_pool, to, &there, &none) == 0)
		return ops_fail(e, OPS_EXISTS, "name", "volume %s exists", to);
	return 0;
}

int volume_clone(const char *pool, const char *name, const char *to_pool, const char *to,
		 struct job **out, struct ops_error *e)
{
	struct clone *c;

	if (clone_check(to_pool, to, e))
		return -1;
	c = calloc(1, sizeof(*c));
	if (!c)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	snprintf(c->pool, sizeof(c->pool), "%s", to_pool);
	snprintf(c->to, sizeof(c->to), "%s", to);
	snprintf(c->partial, sizeof(c->partial), "%.100s" PARTIAL, to);
	if (volume_use(pool, name, false, &c->from, e)) {
		free(c);
		return -1;
	}
	if (iobufs_take(&c->bufs, e)) {
		volume_close(c->from);
		free(c);
		return -1;
	}
	c->job = job_begin_volume("clone", pool, name, to, c->from->bytes, clone_cancel, c, e);
	if (!c->job || volume_create(to_pool, c->partial, c->from->bytes, clone_created, c, e)) {
		c->failed = true;
		c->error = *e;
		clone_undo(c);
		return -1;
	}
	*out = c->job;
	return 0;
}
