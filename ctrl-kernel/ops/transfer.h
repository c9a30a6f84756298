/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes from outside into a volume, and the other way, a few buffers ahead of whoever is slower. Any offset: what does not
 * fill a sector at either end is read first.
 *
 *   upload    begin ─► write ... (full: until resume() is called) ─► finish ─► all written, flushed ─► done()
 *   download  begin ─► read ... (0: until ready() is called) ─► end
 *
 * An upload that is given up, or fails, has written what it had written.
 */
#ifndef OPS_TRANSFER_H
#define OPS_TRANSFER_H

#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/ops/ops.h"

#define UPLOAD_SIZE_UNKNOWN UINT64_MAX
#define UPLOAD_PIECE_MAX 131072u /* bytes that one write may bring when it is not full */

struct upload;
struct download;

struct upload_spec {
	uint64_t from;   /* byte of the volume */
	uint64_t bytes;  /* that are to come, or UPLOAD_SIZE_UNKNOWN */
	bool has_sha256; /* of all that comes */
	uint8_t sha256[32];
	loop_fn resume; /* there is room again, or it has failed; from the loop */
	void *ctx;
};
/* The volume is open for writing until the end. */
int upload_begin(const char *pool, const char *name, const struct upload_spec *spec,
		 struct upload **out, struct ops_error *e) MUST_CHECK;
int upload_write(struct upload *u, const void *data, size_t len, struct ops_error *e) MUST_CHECK;
bool upload_full(const struct upload *u); /* no more, please */
/* u is the layer's from here on. resume is not called any more. */
void upload_finish(struct upload *u, ops_done_fn done, void *ctx);
void upload_abort(struct upload *u);

/* [from, end) of the volume, inside of it. ready(ctx): there is something to read, or it has failed; from the loop. */
int download_begin(const char *pool, const char *name, uint64_t from, uint64_t end, loop_fn ready,
		   void *ctx, struct download **out, struct ops_error *e) MUST_CHECK;
/* At most max bytes -> how many. 0: none are there yet, or with *failed never. */
size_t download_read(struct download *d, void *to, size_t max, bool *failed);
void download_end(struct download *d); /* at any time; ready is not called any more */

#endif
