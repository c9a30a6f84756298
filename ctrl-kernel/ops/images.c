/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of images, and the checksum of those that came as boot modules (images.h). Uploads are in upload.c.
 */
#include "ctrl-kernel/ops/images.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include "mbedtls/sha256.h"
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/ops/image_table.h"
#include "ctrl-kernel/ops/keep.h"
#include "ctrl-kernel/rt/hvcall.h"

#define HASH_PAGES 256u /* a turn of the loop hashes 1 MiB */

struct hash_waiter {
	ops_done_fn done;
	void *ctx;
	struct hash_waiter *next;
};

struct image_hash {
	struct image *image; /* [borrows] pinned */
	struct loop_job job;
	mbedtls_sha256_context sha;
	uint64_t at;                 /* bytes hashed */
	struct hash_waiter *waiters; /* [owns] */
};

static struct image *images;
static unsigned n_images;

struct image *image_first(void)
{
	return images;
}

struct image *image_find(const char *name)
{
	struct image *i = images;

	while (i && strcmp(i->name, name) != 0)
		i = i->next;
	return i;
}

void image_get(struct image *image)
{
	image->users++;
}

void image_put(struct image *image)
{
	image->users--;
}

uint64_t image_bytes_total(unsigned *count)
{
	uint64_t sum = 0;

	for (struct image *i = images; i; i = i->next)
		sum += i->bytes;
	*count = n_images;
	return sum;
}

static void image_unlink(struct image *image)
{
	struct image **at = &images;

	while (*at != image)
		at = &(*at)->next;
	*at = image->next;
	n_images--;
}

void (*image_on_gone)(const struct image *image);

static void image_free(struct image *image)
{
	if (image_on_gone)
		image_on_gone(image);
	keep_image_gone(image);
	hv_handle_close(image->mem);
	free(image);
}

int image_check_free(const struct image *image, struct ops_error *e)
{
	if (image->users == 0)
		return 0;
	return ops_fail(e, OPS_BUSY, NULL,
			"the image \"%s\" is in use; stop the VMs that run from it first",
			image->name);
}

int image_delete(const char *name, struct ops_error *e)
{
	struct image *image = image_find(name);

	if (!image)
		return ops_fail(e, OPS_NO_IMAGE, NULL, "there is no image \"%s\"", name);
	if (image_check_free(image, e))
		return -1;
	image_unlink(image);
	image_free(image);
	return 0;
}

int image_room(const char *name, struct ops_error *e)
{
	struct image *old = image_find(name);

	if (old)
		return image_check_free(old, e);
	if (n_images >= IMAGES_MAX)
		return ops_fail(e, OPS_LIMIT, NULL, "there are %u images already; delete some",
				n_images);
	return 0;
}

bool image_insert(struct image *image)
{
	struct image *old = image_find(image->name);
	struct image **at = &images;

	if (old) {
		image_unlink(old);
		image_free(old);
	}
	while (*at && strcmp((*at)->name, image->name) < 0)
		at = &(*at)->next;
	image->next = *at;
	*at = image;
	n_images++;
	return old != NULL;
}

int image_adopt(const char *name, uint32_t mem, uint64_t bytes, struct ops_error *e)
{
	struct image *image;

	if (ops_name_check(name, NULL, e) || image_room(name, e))
		return -1;
	if (image_find(name))
		return ops_fail(e, OPS_EXISTS, NULL, "there is an image \"%s\" already", name);
	image = calloc(1, sizeof(*image));
	if (!image)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	snprintf(image->name, sizeof(image->name), "%s", name);
	image->source = IMAGE_BOOT_MODULE;
	image->mem = mem;
	image->bytes = bytes;
	image->created_ns = rt_now();
	if (keep_image(image, e)) {
		free(image);
		return -1;
	}
	image_insert(image);
	return 0;
}

int image_read(struct image *image, uint64_t max, char **out, struct ops_error *e)
{
	uint64_t pages = (image->bytes + HV_PAGE_SIZE - 1) / HV_PAGE_SIZE;
	char *text;
	void *window;

	if (image->bytes > max)
		return ops_fail(e, OPS_TOO_LARGE, NULL, "it has %llu bytes, at most %llu are read",
				(unsigned long long)image->bytes, (unsigned long long)max);
	text = malloc(image->bytes + 1);
	if (!text)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	if (pages) {
		window = rt_mem_map(image->mem, 0, pages, HVP_READ);
		if (!window) {
			free(text);
			return ops_fail(e, OPS_EXHAUSTED, NULL, "it cannot be mapped");
		}
		memcpy(text, window, image->bytes);
		rt_mem_unmap(window, pages);
	}
	text[image->bytes] = '\0';
	*out = text;
	return 0;
}

size_t image_copy(const struct image *image, uint64_t at, void *to, size_t max)
{
	uint64_t left = at < image->bytes ? image->bytes - at : 0, first = at / HV_PAGE_SIZE;
	size_t n = left < max ? (size_t)left : max;
	uint64_t pages = (at % HV_PAGE_SIZE + n + HV_PAGE_SIZE - 1) / HV_PAGE_SIZE;
	uint8_t *window = n ? rt_mem_map(image->mem, first, pages, HVP_READ) : NULL;

	if (!window)
		return 0;
	memcpy(to, window + at % HV_PAGE_SIZE, n);
	rt_mem_unmap(window, pages);
	return n;
}

/* ---- checksum in steps ---- */

static void hash_finish(struct image_hash *h, const struct ops_error *e)
{
	struct image *image = h->image;
	struct hash_waiter *w = h->waiters;

	image->hash = NULL;
	mbedtls_sha256_free(&h->sha);
	free(h);
	while (w) {
		struct hash_waiter *next = w->next;

		w->done(w->ctx, e);
		free(w);
		w = next;
	}
	image_put(image);
}

static void hash_step(void *ctx)
{
	struct image_hash *h = ctx;
	struct image *image = h->image;
	struct ops_error e;
	uint64_t left = image->bytes - h->at, take, pages;
	uint8_t *window;

	if (left == 0) {
		mbedtls_sha256_finish(&h->sha, image->sha256);
		image->hashed = true;
		keep_image_hashed(image);
		hash_finish(h, NULL);
		return;
	}
	take = left < HASH_PAGES * HV_PAGE_SIZE ? left : HASH_PAGES * HV_PAGE_SIZE;
	pages = (take + HV_PAGE_SIZE - 1) / HV_PAGE_SIZE;
	window = rt_mem_map(image->mem, h->at / HV_PAGE_SIZE, pages, HVP_READ);
	if (!window) {
		ops_fail(&e, OPS_EXHAUSTED, NULL, "the image cannot be mapped for its checksum");
		hash_finish(h, &e);
		return;
	}
	mbedtls_sha256_update(&h->sha, window, take);
	rt_mem_unmap(window, pages);
	h->at += take;
	loop_defer(&h->job);
}

static struct image_hash *hash_start(struct image *image)
{
	struct image_hash *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->image = image;
	h->job.fn = hash_step;
	h->job.ctx = h;
	mbedtls_sha256_init(&h->sha);
	mbedtls_sha256_starts(&h->sha, 0);
	image->hash = h;
	image_get(image);
	loop_defer(&h->job);
	return h;
}

int image_hash(struct image *image, ops_done_fn done, void *ctx, struct ops_error *e)
{
	struct hash_waiter *w = calloc(1, sizeof(*w));
	struct image_hash *h = image->hash;

	if (w && !h)
		h = hash_start(image);
	if (!w || !h) {
		free(w);
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	}
	w->done = done;
	w->ctx = ctx;
	w->next = h->waiters;
	h->waiters = w;
	return 0;
}
