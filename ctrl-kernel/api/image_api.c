/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /v1/images.
 */
#include "ctrl-kernel/api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/image_store.h"
#include "ctrl-kernel/ops/jobs.h"

static void image_write_json(struct out *o, const struct image *image)
{
	out_object(o, NULL);
	out_str(o, "name", image->name);
	out_u64(o, "size", image->bytes);
	if (image->hashed)
		out_hex(o, "sha256", image->sha256, sizeof(image->sha256));
	else
		out_null(o, "sha256"); /* a boot module nobody asked about yet */
	out_str(o, "source", image->source == IMAGE_UPLOAD ? "upload" : "boot_module");
	out_time(o, "created_at", host_utc_ns(image->created_ns));
	out_optional(o, "pool", image->pool);
	out_bool(o, "in_use", image->users != 0);
	out_close(o, '}');
}

static void reply_image(struct api_call *call, unsigned status, const struct image *image)
{
	struct buf b = {0};
	struct out o = {.b = &b};
	char extra[128] = "";

	image_write_json(&o, image);
	if (status == 201)
		snprintf(extra, sizeof(extra), "Location: /v1/images/%s\r\n", image->name);
	api_reply_json(call, status, &b, extra);
}

static struct image *find(struct api_call *call)
{
	struct image *image = image_find(call->name);
	struct ops_error e;

	if (image)
		return image;
	ops_fail(&e, OPS_NO_IMAGE, NULL, "there is no image \"%s\"", call->name);
	api_reply_error(call, &e);
	return NULL;
}

void api_images_list(struct api_call *call)
{
	struct buf b = {0};
	struct out o = {.b = &b};

	out_object(&o, NULL);
	out_array(&o, "items");
	for (const struct image *i = image_first(); i; i = i->next)
		image_write_json(&o, i);
	out_close(&o, ']');
	out_close(&o, '}');
	api_reply_json(call, 200, &b, "");
}

static void hashed(void *ctx, const struct ops_error *e)
{
	struct api_call *call = ctx;
	struct image *image;

	if (!api_call_back(call))
		return;
	if (e) {
		api_reply_error(call, e);
		return;
	}
	image = find(call);
	if (image)
		reply_image(call, 200, image);
}

void api_image_get(struct api_call *call)
{
	struct image *image = find(call);
	struct ops_error e;

	if (!image)
		return;
	if (image->hashed) {
		reply_image(call, 200, image);
		return;
	}
	call->waiting = true;
	if (image_hash(image, hashed, call, &e)) {
		call->waiting = false;
		api_reply_error(call, &e);
	}
}

bool api_image_put_begin(struct api_call *call)
{
	struct ops_error e;

	if (image_begin(call->name, call->rq->length, &call->upload, &e) == 0)
		return true;
	api_reply_error(call, &e);
	return false;
}

void api_image_put(struct api_call *call)
{
	struct stream *upload = call->upload;
	struct image *image;
	struct ops_error e;
	bool replaced;

	call->upload = NULL; /* commit frees it either way */
	if (image_commit(call->name, upload, &image, &replaced, &e)) {
		api_reply_error(call, &e);
		return;
	}
	reply_image(call, replaced ? 200 : 201, image);
}

void api_image_delete(struct api_call *call)
{
	struct ops_error e;

	if (image_delete(call->name, &e))
		api_reply_error(call, &e);
	else
		api_reply_empty(call);
}

/* ---- stored in a pool ---- */

struct store_body {
	char pool[OPS_NAME_MAX];
};
static const struct json_field store_fields[] = {
	{"pool", JSON_STRING, true, offsetof(struct store_body, pool), OPS_NAME_MAX, 0, 0, NULL},
};
static const struct json_object store_object = {store_fields, ARRAY_SIZE(store_fields)};

void api_image_action(struct api_call *call)
{
	struct image *image = find(call);
	struct store_body body;
	struct ops_error e;
	struct job *job;

	if (!image)
		return;
	if (strcmp(call->verb, "store") != 0)
		api_reply_problem(call, 404, "an image has the action store", "");
	else if (!api_body(call, &store_object, &body))
		return;
	else if (image_store(image, body.pool, &job, &e))
		api_reply_error(call, &e);
	else
		api_job_reply(call, 202, job);
}

/* ---- content ---- */

struct download {
	struct image *image; /* [owns] pinned */
	uint64_t at;
};

static size_t download_read(void *ctx, char *to, size_t max)
{
	struct download *d = ctx;
	size_t n = image_copy(d->image, d->at, to, max);

	d->at += n;
	return n;
}

static void download_close(void *ctx)
{
	struct download *d = ctx;

	image_put(d->image);
	free(d);
}

void api_image_content(struct api_call *call)
{
	struct image *image = find(call);
	struct http_source source = {.read = download_read, .close = download_close};
	struct download *d;
	uint64_t from = 0, end;
	char extra[128] = "Accept-Ranges: bytes\r\n";
	bool part;

	if (!image)
		return;
	end = image->bytes;
	part = api_range(call->rq->range, image->bytes, &from, &end);
	if (part && from >= end) {
		snprintf(extra, sizeof(extra), "Content-Range: bytes */%llu\r\n",
			 (unsigned long long)image->bytes);
		api_reply_problem(call, 416, "the image has no such bytes", extra);
		return;
	}
	d = calloc(1, sizeof(*d));
	if (!d) {
		api_reply_problem(call, 503, "out of memory", "Retry-After: 1\r\n");
		return;
	}
	*d = (struct download){image, from};
	image_get(image);
	source.ctx = d;
	source.left = end - from;
	if (part)
		snprintf(extra, sizeof(extra),
			 "Accept-Ranges: bytes\r\nContent-Range: bytes %llu-%llu/%llu\r\n",
			 (unsigned long long)from, (unsigned long long)end - 1,
			 (unsigned long long)image->bytes);
	api_reply_source(call, part ? 206 : 200, &source, extra);
}
