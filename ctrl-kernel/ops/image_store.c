/* SPDX-License-Identifier: BSD-2-Clause */
/* See image_store.h. */
#include "ctrl-kernel/ops/image_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/ops/jobs.h"
#include "ctrl-kernel/ops/keep.h"
#include "ctrl-kernel/ops/lasting.h"
#include "ctrl-kernel/ops/pools.h"
#include "ctrl-kernel/ops/transfer.h"

#define PIECE 65536u

static int volume_of(const char *image, char out[OPS_NAME_MAX], struct ops_error *e)
{
	if (strlen(image) + sizeof(IMAGE_VOLUME) > OPS_NAME_MAX)
		return ops_fail(e, OPS_INVALID, NULL,
				"the name of an image that is stored has at most %u characters",
				OPS_NAME_MAX - (unsigned)sizeof(IMAGE_VOLUME));
	snprintf(out, OPS_NAME_MAX, IMAGE_VOLUME "%s", image);
	return 0;
}

/* ---- gone ---- */

static void volume_gone(void *ctx, const struct ops_error *e)
{
	char *name = ctx;

	if (e)
		rt_log("volume %s of an image that is gone is left: %s", name, e->text);
	free(name);
}

/* First the configuration: a volume that nothing names does no harm. */
static void image_gone(const struct image *image)
{
	char volume[OPS_NAME_MAX], *name = strdup(image->name);
	struct ops_error e;

	if (image->pool[0] == '\0' || !name || volume_of(image->name, volume, &e)) {
		free(name);
		return;
	}
	lasting_changed();
	if (volume_delete(image->pool, volume, NULL, volume_gone, name, &e))
		volume_gone(name, &e);
}

void image_store_init(void)
{
	image_on_gone = image_gone;
}

/* ---- store ---- */

struct store {
	struct image *image; /* [owns] pinned */
	char pool[OPS_NAME_MAX], volume[OPS_NAME_MAX];
	struct job *job;       /* [borrows] */
	struct upload *upload; /* [owns] */
	uint64_t at;
	bool made;
	struct loop_job step;
	struct ops_error error;
	char piece[PIECE];
};

static void store_free(struct store *s, const struct ops_error *e)
{
	image_put(s->image);
	job_end(s->job, e);
	free(s);
}

static void store_removed(void *ctx, const struct ops_error *e)
{
	struct store *s = ctx;

	if (e)
		rt_log("volume %s/%s is left of an image that was not stored: %s", s->pool,
		       s->volume, e->text);
	store_free(s, &s->error);
}

static void store_fail(struct store *s, const struct ops_error *e)
{
	struct ops_error mine;

	s->error = *e;
	if (!s->made)
		store_free(s, &s->error);
	else if (volume_delete(s->pool, s->volume, NULL, store_removed, s, &mine))
		store_removed(s, &mine);
}

static void store_lasts(void *ctx, const struct ops_error *e)
{
	store_free(ctx, e);
}

static void store_written(void *ctx, const struct ops_error *e)
{
	struct store *s = ctx;
	struct ops_error mine;

	if (e) {
		store_fail(s, e);
		return;
	}
	snprintf(s->image->pool, sizeof(s->image->pool), "%s", s->pool);
	keep_image_stored(s->image);
	lasting_changed();
	if (lasting_wait(store_lasts, s, &mine))
		store_free(s, &mine);
}

static void store_step(void *ctx)
{
	struct store *s = ctx;
	struct upload *u = s->upload;
	struct ops_error e;

	while (s->at < s->image->bytes && !upload_full(u)) {
		size_t n = image_copy(s->image, s->at, s->piece, PIECE);

		if (n == 0)
			(void)ops_fail(&e, OPS_EXHAUSTED, NULL, "the image cannot be mapped");
		if (n == 0 || upload_write(u, s->piece, n, &e)) {
			upload_abort(u);
			store_fail(s, &e);
			return;
		}
		s->at += n;
	}
	job_progress(s->job, s->at);
	if (s->at < s->image->bytes)
		return; /* resume() */
	s->upload = NULL;
	upload_finish(u, store_written, s);
}

static void store_resume(void *ctx)
{
	struct store *s = ctx;

	if (s->upload)
		loop_defer(&s->step);
}

static void store_created(void *ctx, const struct ops_error *e)
{
	struct store *s = ctx;
	struct upload_spec spec = {.bytes = s->image->bytes, .resume = store_resume, .ctx = s};
	struct ops_error mine;

	s->made = !e;
	if (!e && upload_begin(s->pool, s->volume, &spec, &s->upload, &mine))
		e = &mine;
	if (e)
		store_fail(s, e);
	else
		loop_defer(&s->step);
}

/* What a store that was cut off has left is in the way. */
static void store_cleared(void *ctx, const struct ops_error *e)
{
	struct store *s = ctx;
	struct ops_error mine;

	if (e)
		store_fail(s, e);
	else if (volume_create(s->pool, s->volume, s->image->bytes, store_created, s, &mine))
		store_fail(s, &mine);
}

static void store_hashed(void *ctx, const struct ops_error *e)
{
	struct store *s = ctx;
	struct volume_info v;
	struct ops_error mine;

	if (e)
		store_fail(s, e);
	else if (volume_info(s->pool, s->volume, &v, &mine))
		store_cleared(s, NULL);
	else if (volume_delete(s->pool, s->volume, NULL, store_cleared, s, &mine))
		store_fail(s, &mine);
}

static int store_check(const struct image *image, const char *pool, struct ops_error *e)
{
	struct pool_info p;

	if (pool_info(pool, &p, e))
		return -1;
	if (p.ram)
		return ops_fail(e, OPS_INVALID, "pool", "what is in the pool \"%s\" does not last",
				pool);
	if (image->pool[0])
		return ops_fail(e, OPS_EXISTS, NULL, "the image is stored in pool \"%s\" already",
				image->pool);
	if (image->bytes == 0)
		return ops_fail(e, OPS_INVALID, NULL, "the image is empty");
	return 0;
}

int image_store(struct image *image, const char *pool, struct job **out, struct ops_error *e)
{
	struct store *s;

	if (store_check(image, pool, e))
		return -1;
	s = calloc(1, sizeof(*s));
	if (!s)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	s->image = image;
	s->step = (struct loop_job){.fn = store_step, .ctx = s};
	snprintf(s->pool, sizeof(s->pool), "%s", pool);
	if (volume_of(image->name, s->volume, e) == 0)
		s->job = job_begin_volume("store", pool, s->volume, image->name, image->bytes, NULL,
					  NULL, e);
	if (!s->job) {
		free(s);
		return -1;
	}
	*out = s->job;
	image_get(image);
	if (image->hashed)
		store_hashed(s, NULL);
	else if (image_hash(image, store_hashed, s, e))
		store_fail(s, e);
	return 0;
}

/* ---- load ---- */

struct load {
	struct image_stored s;
	struct download *download; /* [owns] */
	struct stream *stream;     /* [owns] */
	uint64_t at;
	ops_done_fn done;
	void *ctx;
	struct loop_job step;
	char piece[PIECE];
};

static void load_end(struct load *l, const struct ops_error *e)
{
	if (l->download)
		download_end(l->download);
	if (l->stream)
		stream_abort(l->stream);
	l->done(l->ctx, e);
	free(l);
}

static void load_complete(struct load *l)
{
	struct stream *stream = l->stream;
	struct image *image;
	struct ops_error e;
	bool replaced;

	l->stream = NULL; /* commit frees it either way */
	if (image_find(l->s.name)) {
		stream_abort(stream);
		(void)ops_fail(&e, OPS_EXISTS, NULL, "there is an image \"%s\" already", l->s.name);
	} else if (image_commit(l->s.name, stream, &image, &replaced, &e) == 0) {
		snprintf(image->pool, sizeof(image->pool), "%s", l->s.pool);
		keep_image_stored(image);
		if (!image->hashed || memcmp(image->sha256, l->s.sha256, 32) == 0) {
			load_end(l, NULL);
			return;
		}
		(void)ops_fail(&e, OPS_IO, NULL,
			       "its content is not what was stored: the checksum differs");
	}
	load_end(l, &e);
}

static void load_step(void *ctx)
{
	struct load *l = ctx;
	struct ops_error e;
	bool failed = false;
	size_t n;

	while (l->at < l->s.bytes) {
		n = download_read(l->download, l->piece, PIECE, &failed);
		if (failed)
			(void)ops_fail(&e, OPS_IO, NULL, "its volume cannot be read");
		if (failed || (n && stream_write(l->stream, l->piece, n, &e))) {
			load_end(l, &e);
			return;
		}
		if (n == 0)
			return; /* ready() */
		l->at += n;
	}
	load_complete(l);
}

static void load_ready(void *ctx)
{
	struct load *l = ctx;

	loop_defer(&l->step);
}

int image_load(const struct image_stored *s, ops_done_fn done, void *ctx, struct ops_error *e)
{
	char volume[OPS_NAME_MAX];
	struct load *l;

	if (image_find(s->name))
		return ops_fail(e, OPS_EXISTS, NULL, "there is an image \"%s\" already", s->name);
	if (volume_of(s->name, volume, e))
		return -1;
	l = calloc(1, sizeof(*l));
	if (!l)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	l->s = *s;
	l->done = done;
	l->ctx = ctx;
	if (image_begin(s->name, s->bytes, &l->stream, e)) {
		free(l);
		return -1;
	}
	if (download_begin(s->pool, volume, 0, s->bytes, load_ready, l, &l->download, e)) {
		stream_abort(l->stream);
		free(l);
		return -1;
	}
	l->step = (struct loop_job){.fn = load_step, .ctx = l};
	loop_defer(&l->step);
	return 0;
}
