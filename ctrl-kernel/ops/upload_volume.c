/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes from outside into a volume (transfer.h). */
#include <stdlib.h>
#include <string.h>
#include "mbedtls/sha256.h"
#include "ctrl-kernel/ops/iobuf.h"
#include "ctrl-kernel/ops/pools.h"
#include "ctrl-kernel/ops/transfer.h"
#include "ctrl-kernel/storage/volume.h"

enum phase { PHASE_HEAD, PHASE_DATA, PHASE_TAIL, PHASE_FLUSH };

struct upload {
	struct blkdev *dev; /* [owns] open */
	struct iobufs bufs;
	struct iobuf *fill; /* the one that bytes go into; NULL: the next that is free */
	uint64_t at;        /* byte of the volume that comes next */
	uint64_t end;       /* what was announced, or the volume's end */
	bool known;         /* it was announced */
	unsigned under_way;
	enum phase phase;
	bool failed, aborted, was_full;
	struct ops_error error;
	struct blk_request flush;
	mbedtls_sha256_context sha;
	bool has_sha256;
	uint8_t sha256[32];
	loop_fn resume;
	void *resume_ctx;
	ops_done_fn done; /* once it is to finish */
	void *ctx;
};

static void upload_free(struct upload *u)
{
	mbedtls_sha256_free(&u->sha);
	iobufs_give(&u->bufs);
	volume_close(u->dev);
	free(u);
}

static struct iobuf *free_buf(const struct upload *u)
{
	for (unsigned i = 0; i < IOBUFS_EACH; i++)
		if (!u->bufs.buf[i]->busy && u->bufs.buf[i] != u->fill)
			return u->bufs.buf[i];
	return NULL;
}

bool upload_full(const struct upload *u)
{
	return !u->failed && (u->phase == PHASE_HEAD || !free_buf(u));
}

static void finish_step(struct upload *u);

static void fail(struct upload *u, enum blk_status status)
{
	if (!u->failed)
		(void)iobuf_fail(&u->error, status, "writing to the volume");
	u->failed = true;
}

/* A request has ended: what is next? */
static void go_on(struct upload *u)
{
	if (u->aborted && u->under_way == 0) {
		upload_free(u);
	} else if (u->aborted) {
		return;
	} else if (u->done) {
		finish_step(u);
	} else if (u->was_full && !upload_full(u)) {
		u->was_full = false;
		u->resume(u->resume_ctx);
	}
}

static void written(struct blk_request *rq, enum blk_status status)
{
	struct upload *u = rq->ctx;
	struct iobuf *b = iobuf_of(rq);

	b->busy = false;
	b->used = 0;
	u->under_way--;
	if (status != BLK_OK)
		fail(u, status);
	go_on(u);
}

static void write_out(struct upload *u, struct iobuf *b, uint32_t bytes)
{
	u->under_way++;
	iobuf_go(b, u->dev, BLK_WRITE, bytes, written, u);
}

/* ---- the sector where it begins ---- */

static void head_read(struct blk_request *rq, enum blk_status status)
{
	struct upload *u = rq->ctx;

	u->fill->busy = false;
	u->under_way--;
	u->phase = PHASE_DATA;
	if (status != BLK_OK)
		fail(u, status);
	go_on(u);
}

static void begin_head(struct upload *u)
{
	uint32_t sector = u->dev->sector_bytes, in = (uint32_t)(u->at % sector);

	u->fill = u->bufs.buf[0];
	u->fill->offset = u->at - in;
	u->fill->used = in;
	u->phase = PHASE_DATA;
	if (in == 0)
		return;
	u->phase = PHASE_HEAD;
	u->was_full = true;
	u->under_way++;
	iobuf_go(u->fill, u->dev, BLK_READ, sector, head_read, u);
}

/* ---- the end ---- */

/* The sector of the last byte was read into the other buffer: what lies behind that byte stays. */
static void tail_read(struct blk_request *rq, enum blk_status status)
{
	struct upload *u = rq->ctx;
	struct iobuf *b = iobuf_of(rq), *last = u->fill;
	uint32_t sector = u->dev->sector_bytes, in = last->used % sector;

	b->busy = false;
	u->under_way--;
	if (status != BLK_OK) {
		fail(u, status);
	} else {
		memcpy(last->data + last->used, b->data + in, sector - in);
		last->used += sector - in;
	}
	go_on(u);
}

static void read_tail(struct upload *u)
{
	struct iobuf *b = free_buf(u);
	uint32_t sector = u->dev->sector_bytes;

	b->offset = u->fill->offset + u->fill->used / sector * sector;
	u->under_way++;
	iobuf_go(b, u->dev, BLK_READ, sector, tail_read, u);
}

static void check_sum(struct upload *u)
{
	uint8_t sum[32];

	mbedtls_sha256_finish(&u->sha, sum);
	if (u->failed || !u->has_sha256 || memcmp(sum, u->sha256, sizeof(sum)) == 0)
		return;
	u->failed = true;
	(void)ops_fail(
		&u->error, OPS_MISMATCH, NULL,
		"what came has another SHA-256 than was announced; the volume has what came");
}

static void over(struct upload *u)
{
	ops_done_fn done = u->done;
	void *ctx = u->ctx;
	struct ops_error e = u->error;
	bool failed;

	check_sum(u);
	failed = u->failed;
	e = u->error;
	upload_free(u);
	done(ctx, failed ? &e : NULL);
}

static void flushed(struct blk_request *rq, enum blk_status status)
{
	struct upload *u = rq->ctx;

	u->under_way--;
	if (status != BLK_OK)
		fail(u, status);
	over(u);
}

static void finish_step(struct upload *u)
{
	struct iobuf *last = u->fill;

	if (u->under_way)
		return;
	if (!u->failed && last && last->used % u->dev->sector_bytes) {
		read_tail(u);
	} else if (!u->failed && last && last->used) {
		u->fill = NULL;
		write_out(u, last, last->used);
	} else if (!u->failed) {
		u->under_way++;
		u->flush = (struct blk_request){.op = BLK_FLUSH, .done = flushed, .ctx = u};
		blk_submit(u->dev, &u->flush);
	} else {
		over(u);
	}
}

/* ---- calls ---- */

static int check(struct upload *u, const struct upload_spec *spec, struct ops_error *e)
{
	uint64_t size = u->dev->bytes;

	u->known = spec->bytes != UPLOAD_SIZE_UNKNOWN;
	if (spec->from > size || (u->known && spec->bytes > size - spec->from))
		return ops_fail(e, OPS_TOO_LARGE, NULL,
				"the volume has %llu bytes; these would go beyond its end",
				(unsigned long long)size);
	u->at = spec->from;
	u->end = u->known ? spec->from + spec->bytes : size;
	return 0;
}

int upload_begin(const char *pool, const char *name, const struct upload_spec *spec,
		 struct upload **out, struct ops_error *e)
{
	struct upload *u = calloc(1, sizeof(*u));

	if (!u)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	if (volume_use(pool, name, true, &u->dev, e)) {
		free(u);
		return -1;
	}
	if (check(u, spec, e) || iobufs_take(&u->bufs, e)) {
		volume_close(u->dev);
		free(u);
		return -1;
	}
	u->has_sha256 = spec->has_sha256;
	memcpy(u->sha256, spec->sha256, sizeof(u->sha256));
	u->resume = spec->resume;
	u->resume_ctx = spec->ctx;
	mbedtls_sha256_init(&u->sha);
	mbedtls_sha256_starts(&u->sha, 0);
	begin_head(u);
	*out = u;
	return 0;
}

/* The buffer that is being filled; NULL: there is none, the caller brought more than was to come. */
static struct iobuf *filling(struct upload *u)
{
	if (!u->fill) {
		struct iobuf *b = free_buf(u);

		if (!b)
			return NULL;
		b->offset = u->at;
		b->used = 0;
		u->fill = b;
	}
	return u->fill;
}

int upload_write(struct upload *u, const void *data, size_t len, struct ops_error *e)
{
	const uint8_t *from = data;

	if (!u->failed && len > u->end - u->at)
		return ops_fail(e, OPS_TOO_LARGE, NULL, "these bytes go beyond the volume's end");
	if (u->has_sha256)
		mbedtls_sha256_update(&u->sha, data, len);
	while (len && !u->failed) {
		struct iobuf *b = filling(u);
		size_t n = b ? IOBUF_BYTES - b->used : 0;

		if (!b)
			return ops_fail(e, OPS_INTERNAL, NULL, "no buffer for what has come");
		n = n < len ? n : len;
		memcpy(b->data + b->used, from, n);
		b->used += (uint32_t)n;
		from += n;
		len -= n;
		u->at += n;
		if (b->used == IOBUF_BYTES) {
			u->fill = NULL;
			write_out(u, b, IOBUF_BYTES);
		}
	}
	u->was_full = upload_full(u);
	if (!u->failed)
		return 0;
	*e = u->error;
	return -1;
}

void upload_finish(struct upload *u, ops_done_fn done, void *ctx)
{
	u->done = done;
	u->ctx = ctx;
	/* Never from here: without requests the flush is one. */
	finish_step(u);
}

void upload_abort(struct upload *u)
{
	u->aborted = true;
	if (u->under_way == 0)
		upload_free(u);
}
