/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Images that outlive the host's power: an image that is stored in a pool has a volume of its own there, IMAGE_VOLUME and its
 * name, and stands in the lasting configuration (lasting.h), whose reader has it loaded again at the next start.
 *
 *	store   volume made ─► filled, flushed ─► image->pool, configuration written ─► the job ends
 *	load    volume read into memory ─► its checksum ─► an image like any other
 *
 * An image that is deleted, or replaced by an upload, takes its volume along.
 */
#ifndef OPS_IMAGE_STORE_H
#define OPS_IMAGE_STORE_H

#include "ctrl-kernel/ops/images.h"

#define IMAGE_VOLUME "image."

void image_store_init(void);

struct job;
int image_store(struct image *image, const char *pool, struct job **out,
		struct ops_error *e) MUST_CHECK;

struct image_stored { /* as the configuration has it */
	char name[OPS_NAME_MAX], pool[OPS_NAME_MAX];
	uint64_t bytes;
	uint8_t sha256[32];
};
/* done(ctx, e) when it is there, or why not. What is there under that name already stays: EXISTS. */
int image_load(const struct image_stored *s, ops_done_fn done, void *ctx,
	       struct ops_error *e) MUST_CHECK;

#endif
