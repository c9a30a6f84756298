/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Uploads (images.h): a stream of bytes into a memory object that grows piece by piece. The piece being filled is
 * mapped into a window; nothing is held in the heap. Until the commit nobody can see the new image.
 */
#include "ctrl-kernel/ops/images.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include "mbedtls/sha256.h"
#include "ctrl-kernel/ops/image_table.h"
#include "ctrl-kernel/ops/keep.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/rt/hvcall.h"

#define PIECE_BYTES ((uint64_t)HV_GROW_MAX * HV_PAGE_SIZE)

struct image_writer {
	struct image *image; /* [owns] not yet in the table */
	mbedtls_sha256_context sha;
	uint64_t expected;     /* bytes, or IMAGE_SIZE_UNKNOWN */
	uint64_t pages;        /* the object has */
	uint8_t *window;       /* the last piece, NULL: none mapped */
	uint64_t window_start; /* its first byte in the image */
	uint64_t window_pages;
};

static int upload_fits(uint64_t bytes, struct ops_error *e)
{
	uint64_t spare = host_memory_spare();

	if (bytes == IMAGE_SIZE_UNKNOWN || bytes <= spare)
		return 0;
	return ops_fail(e, OPS_TOO_LARGE, NULL,
			"the image has %llu bytes, the host has %llu bytes to spare",
			(unsigned long long)bytes, (unsigned long long)spare);
}

int image_begin(const char *name, uint64_t bytes, struct image_writer **out, struct ops_error *e)
{
	struct image_writer *w;
	uint64_t mem;
	int r;

	if (ops_name_check(name, NULL, e) || image_room(name, e) || upload_fits(bytes, e))
		return -1;
	w = calloc(1, sizeof(*w));
	if (w)
		w->image = calloc(1, sizeof(*w->image));
	if (!w || !w->image) {
		free(w);
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	}
	r = hv_mem_create(0, &mem);
	if (r) {
		free(w->image);
		free(w);
		return ops_fail_hv(e, r, "making a memory object for the image");
	}
	snprintf(w->image->name, sizeof(w->image->name), "%s", name);
	w->image->mem = (uint32_t)mem;
	w->expected = bytes;
	mbedtls_sha256_init(&w->sha);
	mbedtls_sha256_starts(&w->sha, 0);
	*out = w;
	return 0;
}

static void window_close(struct image_writer *w)
{
	if (w->window)
		rt_mem_unmap(w->window, w->window_pages);
	w->window = NULL;
}

static int memory_ended(uint64_t bytes, struct ops_error *e)
{
	return ops_fail(e, OPS_TOO_LARGE, NULL, "the host's spare memory ended after %llu bytes",
			(unsigned long long)bytes);
}

/* Grows the object by one piece and maps that. */
static int window_next(struct image_writer *w, struct ops_error *e)
{
	uint64_t start = w->image->bytes, want = PIECE_BYTES, now = 0;
	int r;

	window_close(w);
	if (w->expected != IMAGE_SIZE_UNKNOWN && w->expected > start && w->expected - start < want)
		want = w->expected - start;
	want = w->pages + (want + HV_PAGE_SIZE - 1) / HV_PAGE_SIZE;
	if ((want - w->pages) * HV_PAGE_SIZE > host_memory_spare())
		return memory_ended(start, e);
	r = hv_mem_grow(w->image->mem, want, &now);
	if (r && r != -HVE_NOMEM)
		return ops_fail_hv(e, r, "growing the image");
	if (r || now <= w->pages)
		return memory_ended(start, e);
	w->window_pages = now - w->pages;
	w->window = rt_mem_map(w->image->mem, w->pages, w->window_pages, HVP_READ | HVP_WRITE);
	if (!w->window)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "the image cannot be mapped for writing");
	w->window_start = start;
	w->pages = now;
	return 0;
}

int image_write(struct image_writer *w, const void *data, size_t len, struct ops_error *e)
{
	const uint8_t *from = data;

	mbedtls_sha256_update(&w->sha, data, len);
	while (len > 0) {
		uint64_t room = w->pages * HV_PAGE_SIZE - w->image->bytes;
		size_t take = len < room ? len : (size_t)room;

		if (room == 0) {
			if (window_next(w, e))
				return -1;
			continue;
		}
		memcpy(w->window + (w->image->bytes - w->window_start), from, take);
		w->image->bytes += take;
		from += take;
		len -= take;
	}
	return 0;
}

static void writer_free(struct image_writer *w)
{
	window_close(w);
	mbedtls_sha256_free(&w->sha);
	free(w);
}

void image_abort(struct image_writer *w)
{
	struct image *image = w->image;

	writer_free(w);
	hv_handle_close(image->mem);
	free(image);
}

int image_commit(struct image_writer *w, struct image **out, bool *replaced, struct ops_error *e)
{
	struct image *image = w->image;

	/* The name may have been taken into use, or the table filled, while the bytes came in. */
	if (image_room(image->name, e)) {
		image_abort(w);
		return -1;
	}
	mbedtls_sha256_finish(&w->sha, image->sha256);
	writer_free(w);
	image->source = IMAGE_UPLOAD;
	image->hashed = true;
	image->created_ns = rt_now();
	if (keep_image(image, e)) {
		hv_handle_close(image->mem);
		free(image);
		return -1;
	}
	*replaced = image_insert(image);
	*out = image;
	return 0;
}
