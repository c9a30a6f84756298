/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /v1/images.
 */
#include "ctrl-kernel/api/api.h"

#include <stdio.h>
#include "ctrl-kernel/ops/host.h"

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
