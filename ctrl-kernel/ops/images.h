/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Images: named byte strings that VMs boot from, each in one memory object of hv. Boot modules become images; uploads
 * stream into new ones. An image that a VM runs from cannot be replaced or deleted.
 */
#ifndef OPS_IMAGES_H
#define OPS_IMAGES_H

#include "ctrl-kernel/ops/stream.h"

#define IMAGES_MAX 256u

enum image_source { IMAGE_UPLOAD, IMAGE_BOOT_MODULE };

struct image {
	char name[OPS_NAME_MAX];
	enum image_source source;
	uint32_t mem; /* [owns] handle */
	uint64_t bytes;
	uint64_t created_ns; /* monotonic */
	unsigned users;      /* VMs that run from it, hashers: it stays while not 0 */
	bool hashed;         /* boot modules are hashed when somebody asks */
	uint8_t sha256[32];
	struct image_hash *hash; /* under way */
	char pool[OPS_NAME_MAX]; /* where it is stored (image_store.h); "": in memory only */
	int keep;                /* keep.h */
	struct image *next;      /* sorted by name */
};

extern void (*image_on_gone)(const struct image *image); /* image_store.h's */

struct image *image_first(void);
struct image *image_find(const char *name);
void image_get(struct image *image); /* pins it; image_put() lets go */
void image_put(struct image *image);
int image_delete(const char *name, struct ops_error *e) MUST_CHECK;
/* Calls done once image->sha256 is valid; it may be the last thing that holds the image. */
int image_hash(struct image *image, ops_done_fn done, void *ctx, struct ops_error *e) MUST_CHECK;
/* Takes over the memory object on success. */
int image_adopt(const char *name, uint32_t mem, uint64_t bytes, struct ops_error *e) MUST_CHECK;
/* Reads a small image whole (socle.json); *out is malloc'ed and NUL-terminated. */
int image_read(struct image *image, uint64_t max, char **out, struct ops_error *e) MUST_CHECK;
/* At most max bytes from byte `at` on -> how many; 0: there are none, or they cannot be mapped. */
size_t image_copy(const struct image *image, uint64_t at, void *to, size_t max);
/* Bytes held by images, for metrics. */
uint64_t image_bytes_total(unsigned *count);

/* ---- uploads: begin a stream, write to it, then commit it (which frees it either way) or abort it ---- */
/* bytes: what is to come, STREAM_SIZE_UNKNOWN when not known. */
int image_begin(const char *name, uint64_t bytes, struct stream **out,
		struct ops_error *e) MUST_CHECK;
/* *replaced: there was an image of that name, it is gone. */
int image_commit(const char *name, struct stream *s, struct image **out, bool *replaced,
		 struct ops_error *e) MUST_CHECK;

#endif
