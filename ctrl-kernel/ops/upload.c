/* SPDX-License-Identifier: BSD-2-Clause */
/* Uploads (images.h): until the commit nobody can see the new image. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include "ctrl-kernel/ops/image_table.h"
#include "ctrl-kernel/ops/images.h"
#include "ctrl-kernel/ops/keep.h"
#include "ctrl-kernel/rt/hvcall.h"

int image_begin(const char *name, uint64_t bytes, struct stream **out, struct ops_error *e)
{
	if (ops_name_check(name, NULL, e) || image_room(name, e))
		return -1;
	return stream_begin(bytes, UINT64_MAX, out, e);
}

static struct image *image_of(const char *name, const struct stream_bytes *b)
{
	struct image *image = calloc(1, sizeof(*image));

	if (!image)
		return NULL;
	snprintf(image->name, sizeof(image->name), "%s", name);
	image->mem = b->mem;
	image->bytes = b->bytes;
	memcpy(image->sha256, b->sha256, sizeof(image->sha256));
	image->source = IMAGE_UPLOAD;
	image->hashed = b->hashed;
	image->created_ns = rt_now();
	return image;
}

int image_commit(const char *name, struct stream *s, struct image **out, bool *replaced,
		 struct ops_error *e)
{
	struct stream_bytes b;
	struct image *image;

	/* The name may have been taken into use, or the table filled, while the bytes came in. */
	if (image_room(name, e)) {
		stream_abort(s);
		return -1;
	}
	stream_end(s, &b);
	image = image_of(name, &b);
	if (!image) {
		hv_handle_close(b.mem);
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	}
	if (keep_image(image, e)) {
		hv_handle_close(b.mem);
		free(image);
		return -1;
	}
	*replaced = image_insert(image);
	*out = image;
	return 0;
}
